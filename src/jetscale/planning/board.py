"""The board of a sweep: which worker group starts where, and which runs it gets next.

Groups come for work when they have none, so nobody waits while another has a list left, a node that
joins is used, and what a lost group had goes back. Runs are handed out by the time that depends on
them (a trunk and its longest follower), the longest first, a few short ones at a time. There is no
clock and no Ray in here: the same board schedules a cluster and `benchmarks/scheduling.py`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush, nsmallest

from jetscale.errors import Failure, SweepError
from jetscale.planning.run import Run
from jetscale.planning.stacks import most_in_stack, shape_of
from jetscale.planning.workers import GAIN, Node, workers_of

TRIES = 3  # groups that may die with a run, without a new checkpoint, before it is given up
START_TRIES = 3  # groups in a row that may fail to start on a node before it gets none any more
START_SECONDS = 10.0  # what starting a group costs: less than that is no work for another one
LATER = 1e-6  # urgency of small runs, for which others need not wait, against their seconds
HANDFUL = 20.0  # seconds of short runs that are handed out at a time, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a group does next: ``stacks``; end, if ``retire``; else ask again in a moment."""

    stacks: tuple[tuple[Run, ...], ...] = ()
    """Runs to train one stack after another; those of a stack are trained in lock step."""
    retire: bool = False

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs of all stacks."""
        return tuple(run for stack in self.stacks for run in stack)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A group to start: the node of each of its workers, one name for every worker."""

    nodes: tuple[str, ...]

    @property
    def workers(self) -> int:
        """How many workers it has."""
        return len(self.nodes)


@dataclass(slots=True, kw_only=True)
class _Group:
    """A worker group: where it is, and the stacks it was given and has not reported."""

    workers: int
    nodes: Mapping[str, int]  # slots that it takes of each node
    stacks: list[list[str]] = field(default_factory=list)
    asked: bool = False  # False while it is starting
    leaving: bool = False  # told to end

    @property
    def runs(self) -> list[str]:
        return [key for stack in self.stacks for key in stack]

    def remove(self, key: str) -> None:
        left = ([other for other in stack if other != key] for stack in self.stacks)
        self.stacks = [stack for stack in left if stack]


class Board:
    """Runs of a sweep, handed to groups and taken back."""

    def __init__(
        self,
        todo: Sequence[Run],
        cost: Callable[[Run], float],
        *,
        workers: int | None = None,
        most: int = 1,
        spread: bool = False,
        per_device: int = 1,
        device: str = "",
    ) -> None:
        """Runs ``todo``, of ``cost`` seconds on one worker each.

        Args:
            workers: Workers of every run; None chooses by cost, up to ``most``.
            spread: Let a group that fits no node have workers on several.
            per_device: One-worker groups that share a GPU.
            device: ``cpu`` or ``cuda``, where runs are stacked as suits it; by default none are.
        """
        self.runs = {run.key: run for run in todo}
        self._cost = {run.key: cost(run) for run in todo}
        self._order = {run.key: i for i, run in enumerate(todo)}
        self._stack = {run.key: most_in_stack(run, device) if device else 1 for run in todo}
        self._shape = {run.key: shape_of(run) for run in todo} if device else {}
        self._forced, self._most, self._spread, self._share = workers, most, spread, per_device
        self._followers: dict[str, list[str]] = {}
        for run in todo:
            if run.trunk in self.runs:
                self._followers.setdefault(run.trunk, []).append(run.key)
        self._urgency = {
            key: seconds + max((self._cost[k] for k in self._followers.get(key, ())), default=0.0)
            for key, seconds in self._cost.items()
        }
        self._chain = {  # seconds of the runs before and after it that must follow each other
            run.key: self._urgency[run.key] + self._cost.get(run.trunk or "", 0.0) for run in todo
        }
        for key in self.runs.keys() - self._followers.keys():
            if self._stack[key] > 1:  # after all trunks: then others of its shape are ready, too
                self._urgency[key] *= LATER
        self._nodes: dict[str, Node] = {}
        self._slots, self._room = 0, 1  # of all nodes, and workers of a group that fits them
        self._groups: dict[str, _Group] = {}
        self._free: Counter[str] = Counter()  # slots of each node that no group has
        self._peers: Counter[int] = Counter()  # groups of each number of workers
        self._starting: Counter[int] = Counter()  # those of them that have not asked yet
        self._ready: dict[int, list[tuple[float, int, str]]] = {}
        self._left = dict(self._cost)  # seconds of the runs that are not finished
        self._size = dict.fromkeys(self.runs, workers or 1)
        self._work: Counter[int] = Counter()  # runs left that want this number of workers
        self._work.update(self._size.values())
        self._seconds = sum(self._left.values())
        self._tries: dict[str, int] = {}
        self._not_started: Counter[str] = Counter()  # groups in a row, of each node
        self._reserved: tuple[list[str], int] = [], 0  # nodes, and slots a large group waits for
        self.given_up: dict[str, Failure] = {}  # key of a run that is not tried again, and why
        for run in todo:
            if run.trunk not in self.runs:
                self._offer(run.key)

    @property
    def done(self) -> bool:
        """Whether nothing is left to hand out or to wait for."""
        return not self._left

    def set_nodes(self, nodes: Iterable[Node]) -> None:
        """Tell which nodes there are now; runs that wait get the workers that suit them."""
        found = {node.name: node for node in nodes}
        if found == self._nodes:
            return
        self._nodes = found
        self._free = Counter({node.name: node.slots for node in found.values()})
        for group in self._groups.values():
            self._free.subtract({n: s for n, s in group.nodes.items() if n in found})
        waiting = [key for heap in self._ready.values() for _, _, key in heap]
        self._ready.clear()
        slots = [node.slots for node in found.values()]
        self._slots, largest = sum(slots), max(slots, default=0)
        self._room = max(1, (self._slots if self._spread else largest) // self._share)
        busy = {key for group in self._groups.values() for key in group.runs}
        for key in self._left.keys() - busy:
            self._resize(key)
        for key in waiting:
            self._offer(key)

    def next_start(self) -> Start | None:
        """The group to start now, None while there is no room or no work for another one."""
        self._reserved = [], 0
        for size in sorted(self._ready, reverse=True):
            if not self._pays(size):
                continue
            if nodes := self._place(size):
                return Start(nodes=nodes)
            if size > 1 and not self._reserved[1]:
                self._reserve(self._weight(size))
        return None

    def _reserve(self, weight: int) -> None:
        """Let smaller groups make room for a large one, on the node where fewest have to leave."""
        nodes = self._open()
        large = [name for name in nodes if self._nodes[name].slots >= weight]
        if large:
            self._reserved = [max(large, key=self._free.__getitem__)], weight
        elif self._spread and sum(self._nodes[name].slots for name in nodes) >= weight:
            self._reserved = list(nodes), weight

    def start(self, group: str, start: Start) -> None:
        """A group was told to start."""
        each = self._weight(start.workers) // start.workers
        nodes = {name: each * count for name, count in Counter(start.nodes).items()}
        self._groups[group] = _Group(workers=start.workers, nodes=nodes)
        self._free.subtract(nodes)
        self._peers[start.workers] += 1
        self._starting[start.workers] += 1

    def take(self, group: str) -> Order:
        """What a group does next. One that the board does not know any more ends."""
        mine = self._groups.get(group)
        if mine is None:
            return Order(retire=True)
        if not mine.asked:
            self._starting[mine.workers] -= 1
            mine.asked = True
            for name in mine.nodes:
                self._not_started.pop(name, None)
        if self.done or self._must_yield(mine):
            mine.leaving = True
            return Order(retire=True)
        if mine.stacks:  # it started again and has forgotten what it had
            return self._order_of(mine)
        heap = self._ready.get(mine.workers, [])
        if not heap:
            # others of its size may follow from a trunk that is being trained
            mine.leaving = not self._work[mine.workers] or any(self._ready.values())
            return Order(retire=mine.leaving)
        peers = self._peers[mine.workers]
        work = sum(self._cost[key] for _, _, key in heap) if len(heap) < 4 * peers else HANDFUL
        handful, seconds = min(HANDFUL, work / (2 * peers)), 0.0
        while heap and (not mine.stacks or seconds + self._cost[heap[0][2]] <= handful):
            stack = self._pop_stack(heap, mine.workers)
            mine.stacks.append(stack)
            seconds += sum(self._cost[key] for key in stack)
            if any(key in self._followers for key in stack):
                break  # others wait for it: nothing comes after it
        if not heap:
            del self._ready[mine.workers]
        return self._order_of(mine)

    def _order_of(self, group: _Group) -> Order:
        stacks = (tuple(self.runs[key] for key in stack) for stack in group.stacks)
        return Order(stacks=tuple(stacks))

    def _pop_stack(self, heap: list[tuple[float, int, str]], workers: int) -> list[str]:
        """Take the most urgent run from a heap, with others that are trained in one stack with it.

        No more than the share of this group of the work that is ready, so that all end together.
        What a group died with is trained alone, or its companions would be blamed again.
        """
        first = heappop(heap)[2]
        most = self._stack[first] if workers == 1 and first not in self._tries else 1
        if most == 1:
            return [first]
        share = (self._cost[first] + sum(self._cost[e[2]] for e in heap)) / self._peers[1]
        most = min(most, max(1, round(share / self._cost[first])))
        shape = self._shape[first]
        mates = (e for e in heap if self._shape[e[2]] == shape and e[2] not in self._tries)
        chosen = set(nsmallest(most - 1, mates))
        heap[:] = [entry for entry in heap if entry not in chosen]
        heapify(heap)
        return [first, *(key for _, _, key in sorted(chosen))]

    def saved(self, key: str) -> None:
        """A run has another checkpoint: groups that died with it so far did not die of it."""
        self._tries.pop(key, None)

    def finish(self, group: str, key: str) -> None:
        """A run has its record: what starts from it may begin."""
        if self._remove(group, key):
            for follower in self._followers.get(key, ()):
                if follower in self._left:
                    self._offer(follower)

    def fail(self, group: str, key: str, failure: Failure) -> None:
        """A run failed for good; what starts from it is given up."""
        if self._remove(group, key):
            self._give_up_followers(key, failure)

    def end(self, group: str, death: str = "") -> None:
        """A group ended, which gives back what it had.

        ``death`` says why, if it was not its own decision. The run it was at is given up after
        `TRIES` groups died with it and no checkpoint in between, and a node gets no group after
        `START_TRIES` did not start there. A group whose node is gone died of that alone.
        """
        ended = self._groups.pop(group, None)
        if ended is None:
            return
        self._free.update({n: s for n, s in ended.nodes.items() if n in self._nodes})
        self._peers[ended.workers] -= 1
        self._starting[ended.workers] -= not ended.asked
        fault = bool(death) and all(name in self._nodes for name in ended.nodes)
        if fault and not ended.asked:
            self._not_started.update(ended.nodes.keys())
        # a group thought lost may have finished some of them meanwhile
        left = [[key for key in stack if key in self._left] for stack in ended.stacks]
        for key in left[0] if fault and left else ():  # they come in this order
            self._tries[key] = self._tries.get(key, 0) + 1
            if self._tries[key] >= TRIES:
                reason = f"its workers died {TRIES} times: {death}"
                self.given_up[key] = Failure(kind=SweepError.__name__, reason=reason)
                self._drop(key)
                self._give_up_followers(key, self.given_up[key])
        for key in (key for stack in left for key in stack if key in self._left):
            self._resize(key)  # the nodes may be others than when it began
            self._offer(key)

    @property
    def at_work(self) -> bool:
        """Whether a group was started and has not ended."""
        return bool(self._groups)

    @property
    def stuck(self) -> bool:
        """Whether nothing is at work and nothing will be, for groups do not start on some nodes."""
        avoided = self._nodes.keys() - self._open()
        return bool(avoided) and not (self.done or self._groups) and self.next_start() is None

    def expect(self) -> tuple[dict[int, int], float]:
        """Workers to the number of runs that get so many on the nodes there are, and the seconds.

        The seconds are those of the work that is left, or of the longest chain, without starts.
        """
        slots = max(1, self._slots)
        work = sum(s * self._size[key] ** (1 - GAIN) for key, s in self._left.items())
        chains = [self._chain[key] / self._size[key] ** GAIN for key in self._left]
        counts = {size: count for size, count in sorted(self._work.items()) if count}
        return counts, max(work / slots, max(chains, default=0.0))

    def _resize(self, key: str) -> None:
        """Give a run the number of workers that suits it on the nodes there are."""
        if self._forced is not None:
            return
        most = min(self._most, self._room)
        size = workers_of(self.runs[key], self._chain[key], self._seconds, self._slots, most)
        self._work[self._size[key]] -= 1
        self._work[size] += 1
        self._size[key] = size

    def _offer(self, key: str) -> None:
        entry = -self._urgency[key], self._order[key], key
        heappush(self._ready.setdefault(self._size[key], []), entry)

    def _remove(self, group: str, key: str) -> bool:
        """Whether a run was not finished before."""
        if group in self._groups and key in self._groups[group].runs:
            self._groups[group].remove(key)
        return self._drop(key)

    def _drop(self, key: str) -> bool:
        """Forget a run that is finished or given up; False if it was forgotten before."""
        if (seconds := self._left.pop(key, None)) is None:
            return False
        self._seconds -= seconds
        self._work[self._size[key]] -= 1
        return True

    def _give_up_followers(self, key: str, failure: Failure) -> None:
        for follower in self._followers.get(key, ()):
            if self._drop(follower):
                reason = f"its pretraining run {key} has not finished: {failure.reason}"
                self.given_up[follower] = Failure(kind=failure.kind, reason=reason)

    def _weight(self, workers: int) -> int:
        """Slots that a group takes: workers of one model cannot share a GPU."""
        return workers if workers == 1 else workers * self._share

    def _place(self, size: int) -> tuple[str, ...]:
        """The node of each worker of a group: that with least room, or several; none if none fit.

        Only a group that no node is large enough for has workers on several.
        """
        room = {name: self._room_on(name, size) for name in self._open() - {*self._reserved[0]}}
        fitting = [name for name in room if room[name] >= size]
        if fitting:
            return (min(fitting, key=lambda name: (self._free[name], name)),) * size
        largest = max((self._nodes[name].slots for name in room), default=0)
        if not self._spread or self._weight(size) <= largest:
            return ()
        most = sorted(room, key=lambda name: (-room[name], name))
        spots = [name for name in most for _ in range(room[name])]
        return tuple(spots[:size]) if len(spots) >= size else ()

    def _room_on(self, node: str, size: int) -> int:
        """Workers of a group of ``size`` that a node has room for now."""
        if size == 1 or self._share == 1:
            return self._free[node]
        # each worker needs a GPU of its own, and nobody knows which ones single workers share
        here = [group for group in self._groups.values() if node in group.nodes]
        taken = sum(
            group.nodes[node] if group.workers == 1 else group.nodes[node] // self._share
            for group in here
        )
        return self._nodes[node].slots // self._share - taken

    def _open(self) -> set[str]:
        """Nodes on which groups start."""
        return {name for name in self._nodes if self._not_started[name] < START_TRIES}

    def _pays(self, size: int) -> bool:
        """Whether another group of a size would shorten the sweep."""
        if len(self._ready[size]) <= self._starting[size]:
            return False
        peers = self._peers[size]
        return not peers or self._seconds / peers > START_SECONDS

    def _must_yield(self, group: _Group) -> bool:
        """Whether a group is in the way of a larger one, or its node is gone."""
        if any(name not in self._nodes for name in group.nodes):
            return True
        names, weight = self._reserved
        if not names or group.runs:
            return False
        leaving = [other.nodes for other in self._groups.values() if other.leaving]
        coming = sum(taken.get(name, 0) for taken in leaving for name in names)
        short = sum(self._free[name] for name in names) + coming < weight
        smaller = sum(group.nodes.values()) < weight
        return short and smaller and any(name in names for name in group.nodes)
