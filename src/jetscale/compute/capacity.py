"""What the nodes of a Ray cluster offer to trials, node by node."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jetscale.errors import SweepError
from jetscale.machines import cores
from jetscale.planning.workers import Node

HEAD = "node:__internal_head__"  # a resource that Ray gives the head alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What Ray offers to trials."""

    nodes: tuple[Node, ...]
    cpus: int
    gpus: int
    local: bool  # True where Ray runs on this machine alone
    per_gpu: int = 1  # one-worker groups that share a GPU
    problem: Callable[[Mapping[str, Any]], str] = field(default=lambda node: "", compare=False)
    """Why a node that joins cannot keep results; empty where it can."""

    @property
    def slots(self) -> int:
        """Workers that fit at the same time."""
        return sum(node.slots for node in self.nodes)

    @property
    def device(self) -> str:
        """Where runs are trained: ``cuda`` if trials get GPUs, else ``cpu``."""
        return "cuda" if self.gpus else "cpu"

    @property
    def resources(self) -> dict[str, float]:
        """What one worker of a group of one asks Ray for."""
        return {"CPU": 1.0, "GPU": 1.0 / self.per_gpu} if self.gpus else {"CPU": 1.0}

    @property
    def idle(self) -> str:
        """Which CPUs a sweep on GPUs leaves idle, and how to use them; empty where few are.

        One study is trained on one kind of device: what differs between devices is no effect of a
        mixture.
        """
        spare = self.cpus - 1 - self.slots
        if not self.gpus or spare < 4 * self.gpus:
            return ""
        return f"trained on GPUs, {spare} CPUs were idle: --device cpu trains on those instead"


def count(
    nodes: Iterable[Mapping[str, Any]],
    *,
    local: bool,
    device: str | None = None,
    per_gpu: int = 1,
) -> Capacity:
    """What ``nodes``, as `ray.nodes` tells them, offer; the head keeps a CPU for those who drive.

    Raises SweepError if no worker fits any node, or no GPU is there where ``device`` is ``cuda``:
    Ray would wait for one without a word.
    """
    alive = [node for node in nodes if node["Alive"]]
    offers = {node["NodeID"]: node["Resources"] for node in alive}
    cpus = {name: int(offer.get("CPU", 0)) - (HEAD in offer) for name, offer in offers.items()}
    gpus = {name: int(offer.get("GPU", 0)) for name, offer in offers.items()}
    if device == "cuda" and not any(gpus.values()):
        raise SweepError("no GPU is there for --device cuda; leave the option out, or use cpu")
    on_gpus = device != "cpu" and any(gpus.values())
    most = {name: gpus[name] * per_gpu for name in gpus} if on_gpus else cpus
    slots = {name: min(most[name], cpus[name]) for name in cpus}
    total = sum(int(offer.get("CPU", 0)) for offer in offers.values())
    if not any(number > 0 for number in slots.values()):
        what = "GPUs on no node with a CPU for them" if on_gpus else f"{total} CPUs"
        raise SweepError(
            f"the cluster has {what}; a sweep needs a node with a free CPU for a worker (and a GPU "
            "if there are some), and one CPU more on the head to drive"
        )
    return Capacity(
        nodes=tuple(Node(name=name, slots=max(0, number)) for name, number in slots.items()),
        cpus=cores() if local else total,
        gpus=sum(gpus.values()) if on_gpus else 0,
        local=local,
        per_gpu=per_gpu if on_gpus else 1,
    )


def check_fits(capacity: Capacity, workers: int | None, *, spread: bool) -> None:
    """Raise SweepError where a group of so many workers fits no node, or not even all of them."""
    if workers is None:
        return
    devices = "GPUs" if capacity.gpus else "CPUs"
    most = max(node.slots for node in capacity.nodes) // capacity.per_gpu
    if workers > most and not spread:
        raise SweepError(
            f"--workers-per-run {workers}: the largest node has {devices} for {most} workers; ask "
            "for fewer, or let a run span nodes with --across-nodes"
        )
    if workers * capacity.per_gpu > capacity.slots:
        raise SweepError(
            f"--workers-per-run {workers}: all {len(capacity.nodes)} nodes together have {devices} "
            f"for {capacity.slots // capacity.per_gpu} workers; ask for fewer"
        )
