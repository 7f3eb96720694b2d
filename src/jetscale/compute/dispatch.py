"""The searcher of Ray Tune that starts the worker groups of a sweep, and counts how they ended."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import ray
from ray.tune.search import Searcher

from jetscale.compute.capacity import Capacity, count
from jetscale.errors import Failure, SweepError
from jetscale.planning.board import START_TRIES

LOOK = 2.0  # seconds between two looks at the nodes
ALONE = 600.0  # seconds without any group or room for one, after which the sweep ends
ASK_AGAIN = 300.0  # seconds until a node that could not keep results is asked again
_NO_ROOM = "WorkerGroupStartupTimeoutError"


@dataclass(slots=True)
class Ended:
    """How the trials of a sweep went."""

    failures: list[Failure] = field(default_factory=list)  # each ended the sweep
    given_up: dict[str, Failure] = field(default_factory=dict)  # key of a run to why
    recomputed: int = 0  # steps made for the second time after a fault
    deaths: list[str] = field(default_factory=list)  # why groups died; they were replaced
    evicted: int = 0  # groups that were told to end, as those of spot machines are
    slot_seconds: float = 0.0  # workers that would have fit, integrated over time
    excluded: dict[str, str] = field(default_factory=dict)  # address of a node to why it got no run
    crowded: int = 0  # groups that did not start for other jobs of the cluster had the room


class Dispatch(Searcher):  # type: ignore[misc]
    """The searcher of Ray Tune that suggests a group as soon as one fits a node."""

    def __init__(self, desk: Any, capacity: Capacity, ended: Ended) -> None:
        super().__init__()
        self.desk, self.capacity, self.ended = desk, capacity, ended
        self.looked = self.peopled = time.monotonic()
        self.problem = capacity.problem
        self.usable = {node.name for node in capacity.nodes}  # nodes that can keep results
        self.asked: dict[str, float] = {}  # others, and when they were asked
        self.sizes: dict[str, int] = {}  # workers of the groups that were started

    def suggest(self, trial_id: str) -> Any:
        """The settings of the next trial: how many workers, and on which node."""
        now = time.monotonic()
        if now - self.looked > LOOK:
            self._look()
        start, peopled = ray.get(self.desk.next.remote(trial_id, self.capacity.nodes))
        if start is not None:
            self.sizes[trial_id] = start.workers
            return {"group": trial_id, "nodes": list(start.nodes)}
        if peopled:
            self.peopled = now
        elif now - self.peopled > ALONE:
            reason = f"no node has had room for a worker group for {ALONE / 60:.0f} minutes"
            self._close(Failure(kind=SweepError.__name__, reason=reason))
        return Searcher.FINISHED if ray.get(self.desk.over.remote()) else None

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Give back what a trial had, and count how it ended."""
        result = result or {"death": "its driver died"}
        death, size = str(result.get("death") or ""), self.sizes.pop(trial_id, 1)
        if death.startswith(_NO_ROOM) and self._crowded(size):
            self.ended.crowded += 1
            death = ""  # no fault of a node: it waits for the others to end
        if death:
            self.ended.deaths.append(death)
            self._look()  # its node may be gone
        self.ended.evicted += bool(result.get("evicted"))
        stuck = ray.get(self.desk.end.remote(trial_id, death, self.capacity.nodes))
        if "reason" in result:
            self._close(Failure(kind=result["kind"], reason=result["reason"]))
        elif stuck:
            reason = f"{START_TRIES} worker groups in a row did not start on any node: {death}"
            self._close(Failure(kind=SweepError.__name__, reason=reason))

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing: a trial reports once, at its end."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the records say what is done, not Tune."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, see `save`."""

    def _look(self) -> None:
        """See which nodes there are."""
        if self.capacity.local:
            return
        now = time.monotonic()
        self.ended.slot_seconds += (now - self.looked) * self.capacity.slots
        self.looked = now
        was, nodes = self.capacity, [node for node in ray.nodes() if node["Alive"]]
        for node in nodes:
            self._ask(node, now)
        good = [node for node in nodes if node["NodeID"] in self.usable]
        try:
            self.capacity = count(good, local=False, device=was.device, per_gpu=was.per_gpu)
        except SweepError:  # for now
            self.capacity = replace(was, nodes=())

    def _ask(self, node: Mapping[str, Any], now: float) -> None:
        """Learn whether a node that joined can keep results; one that cannot may be mended."""
        name, address = node["NodeID"], node.get("NodeManagerAddress", node["NodeID"])
        if name in self.usable or now - self.asked.get(name, -math.inf) < ASK_AGAIN:
            return
        if problem := self.problem(node):
            self.asked[name], self.ended.excluded[address] = now, problem
        else:
            self.usable.add(name)
            self.ended.excluded.pop(address, None)

    def _crowded(self, workers: int) -> bool:
        """Whether others hold so much of the cluster that a group of so many has no room."""
        free, each = ray.available_resources(), self.capacity.resources
        return any(free.get(kind, 0.0) < workers * amount for kind, amount in each.items())

    def _close(self, failure: Failure) -> None:
        self.ended.failures.append(failure)
        ray.get(self.desk.close.remote())
