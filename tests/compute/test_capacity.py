"""What nodes offer, told apart node by node."""

import pytest

from jetscale.compute.capacity import HEAD, check_fits, count
from jetscale.compute.connect import init_arguments
from jetscale.errors import SweepError
from jetscale.machines import cores


def node(name, head=False, alive=True, **resources):
    offer = {kind: float(amount) for kind, amount in resources.items()}
    return {"NodeID": name, "Alive": alive, "Resources": offer | ({HEAD: 1.0} if head else {})}


def slots(capacity):
    return {node.name: node.slots for node in capacity.nodes}


def test_the_head_keeps_a_cpu_for_those_who_drive():
    capacity = count([node("h", head=True, CPU=9), node("w", CPU=4)], local=False)
    assert slots(capacity) == {"h": 8, "w": 4}
    assert (capacity.slots, capacity.cpus, capacity.device) == (12, 13, "cpu")


def test_a_gpu_worker_needs_a_cpu_of_the_same_node():
    mixed = [node("h", head=True, CPU=33), node("w", CPU=8, GPU=4), node("x", CPU=2, GPU=4)]
    capacity = count(mixed, local=False)
    assert (slots(capacity), capacity.device) == ({"h": 0, "w": 4, "x": 2}, "cuda")
    assert capacity.resources == {"CPU": 1.0, "GPU": 1.0}
    shared = count(mixed, local=False, per_gpu=4)
    assert (slots(shared), shared.resources["GPU"]) == ({"h": 0, "w": 8, "x": 2}, 0.25)


def test_a_node_that_is_gone_offers_nothing():
    capacity = count([node("h", head=True, CPU=3), node("w", CPU=4, alive=False)], local=False)
    assert slots(capacity) == {"h": 2}


@pytest.mark.parametrize(
    "nodes",
    [
        [],
        [node("h", head=True, CPU=1)],
        [node("h", head=True, CPU=1, GPU=8)],
        # eight CPUs and a GPU in all, but nowhere together
        [node("h", head=True, CPU=8), node("w", CPU=0, GPU=1)],
    ],
)
def test_a_cluster_that_would_wait_for_ever_is_refused(nodes):
    with pytest.raises(SweepError, match="needs a node with a free CPU for a worker"):
        count(nodes, local=False)


def test_a_device_can_be_asked_for_and_idle_cpus_are_named():
    mixed = [node("h", head=True, CPU=65, GPU=1)]
    gpu = count(mixed, local=False)
    assert (gpu.device, gpu.slots) == ("cuda", 1)
    assert gpu.idle.startswith("trained on GPUs, 63 CPUs were idle")
    cpu = count(mixed, local=False, device="cpu", per_gpu=4)
    assert (cpu.device, cpu.slots, cpu.idle, cpu.per_gpu) == ("cpu", 64, "", 1)
    assert count([node("h", head=True, CPU=5, GPU=4)], local=False).idle == ""
    with pytest.raises(SweepError, match="no GPU is there for --device cuda"):
        count([node("h", head=True, CPU=9)], local=False, device="cuda")


def test_a_group_that_fits_no_node_is_refused_in_one_line():
    two = count([node("h", head=True, CPU=3), node("w", CPU=2)], local=False)
    check_fits(two, None, spread=False)
    check_fits(two, 2, spread=False)
    with pytest.raises(SweepError, match=r"the largest node has CPUs for 2 workers; .*--across"):
        check_fits(two, 3, spread=False)
    check_fits(two, 4, spread=True)
    with pytest.raises(SweepError, match="all 2 nodes together have CPUs for 4 workers"):
        check_fits(two, 5, spread=True)


def test_this_machine_offers_a_worker_per_core():
    arguments = init_arguments(None, None)
    here = node("h", head=True, CPU=arguments["num_cpus"])
    capacity = count([here], local=True)
    assert capacity.slots == capacity.cpus == cores()
    assert arguments["include_dashboard"] is False
    assert arguments["_temp_dir"] is None
