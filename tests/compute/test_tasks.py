"""The executor on Ray, as far as it is more than an executor: nodes, packages, nothing to run on.

What it shares with the others is in tests/test_executor.py.
"""

import os
import sys
import time
import types

import pytest
import ray
from ray.cluster_utils import Cluster

from jetscale.compute.tasks import RayExecutor
from jetscale.errors import MissingExtra, SweepError


def test_ray_must_run():
    with pytest.raises(SweepError, match=r"Ray is not running; call ray\.init\(\)"):
        RayExecutor()


@pytest.fixture
def cluster():
    """A head without CPUs for us and two nodes with one each."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    store = {"object_store_memory": 100_000_000}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **store})
    nodes = [made.add_node(num_cpus=1, **store) for _ in range(2)]
    ray.init(address=made.address, log_to_driver=False, logging_level="CRITICAL")
    made.wait_for_nodes()
    yield made, nodes
    ray.shutdown()
    made.shutdown()


def where(folder_and_number):
    """The node of a call that lasts until some call runs on another node, too."""
    folder, _ = folder_and_number
    node = ray.get_runtime_context().get_node_id()
    (folder / node).touch()
    while len(list(folder.iterdir())) < 2:
        time.sleep(0.01)
    return node


def lose_node(folder_and_number):
    """The first call waits for the end of its node."""
    folder, number = folder_and_number
    node = ray.get_runtime_context().get_node_id()
    if number == 0 and not (folder / "lost").exists():
        (folder / "lost").write_text(node)
        time.sleep(600)
    return number


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore")
class TestCluster:
    def test_calls_run_on_every_node(self, cluster, tmp_path):
        executor = RayExecutor()
        assert executor.slots == 2
        found = list(executor.map(where, [(tmp_path, i) for i in range(6)]))
        assert len(found) == 6
        assert len(set(found)) == 2

    def test_calls_of_a_lost_node_move_to_another(self, cluster, tmp_path):
        made, nodes = cluster

        def items():
            yield tmp_path, 0
            while not (tmp_path / "lost").exists() or not (tmp_path / "lost").read_text():
                time.sleep(0.01)
            lost = (tmp_path / "lost").read_text()
            made.remove_node(next(node for node in nodes if node.node_id == lost))
            yield tmp_path, 1

        assert sorted(RayExecutor().map(lose_node, items())) == [0, 1]


def lacking(x):
    raise MissingExtra("h5py", "formats")


@pytest.mark.integration
@pytest.mark.filterwarnings("default")
def test_a_package_that_a_node_lacks_is_told_as_such(on_ray):
    with pytest.raises(SweepError, match="on a node, package 'h5py' is not installed"):
        list(on_ray.map(lacking, [1]))


@pytest.mark.integration
@pytest.mark.filterwarnings("default")
def test_a_function_that_a_node_cannot_import_is_one_line(on_ray, monkeypatch):
    module = types.ModuleType("only_here")
    exec("def f(x): return x", module.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", module)
    with pytest.raises(SweepError, match=r"a node cannot do it: .*only_here") as caught:
        list(on_ray.map(module.f, [1]))
    assert "\n" not in str(caught.value)
