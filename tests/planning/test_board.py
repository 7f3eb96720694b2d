"""The board against what a scheduler must not do, and its makespan against the lower bound."""

import heapq
import random
from dataclasses import replace

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from jetscale.errors import Failure
from jetscale.planning import plan_runs
from jetscale.planning.board import START_TRIES, TRIES, Board, Order, Start
from jetscale.planning.stacks import shape_of
from jetscale.planning.workers import Node


def nodes(*slots):
    return [Node(name=f"n{i}", slots=count) for i, count in enumerate(slots)]


def one_second(run):
    return 1.0


def begin(board, name):
    """Start the group that the board wants and give its order."""
    start = board.next_start()
    board.start(name, start)
    return board.take(name)


def test_a_trunk_comes_before_what_starts_from_it(study):
    planned = plan_runs(study)
    board = Board(planned, one_second)
    board.set_nodes(nodes(1))
    seen, order = [], begin(board, "a")
    while not order.retire:
        for run in order.runs:
            assert run.trunk is None or run.trunk in seen
            seen.append(run.key)
            board.finish("a", run.key)
        order = board.take("a")
    assert sorted(seen) == sorted(run.key for run in planned)
    assert board.done
    assert board.next_start() is None


def test_what_a_lost_group_had_goes_to_another_one(study):
    planned = plan_runs(study)
    board = Board(planned, one_second)
    board.set_nodes(nodes(1))
    had = begin(board, "a").runs
    board.end("a", "killed")
    assert begin(board, "b").runs == had


def test_a_run_that_a_group_thought_lost_finishes_is_not_done_again(study):
    """Its next group has it still when it dies, and is not blamed for it, however often."""
    board = Board(plan_runs(study), one_second)
    board.set_nodes(nodes(1))
    ((key,), *_) = ([run.key for run in stack] for stack in begin(board, "lost").stacks)
    board.end("lost")
    seen = []
    for i in range(TRIES):
        assert begin(board, f"g{i}").runs
        seen.append(key in board.given_up)
        if i == 0:
            board.finish("lost", key)
        board.end(f"g{i}", "killed")
    offered = [entry[2] for heap in board._ready.values() for entry in heap]
    assert key not in offered
    assert key not in board.given_up
    assert len(offered) == len(set(offered))


def fail_to_start(board, times, after=0):
    """Let so many groups in a row die before they ask; returns where they were to start."""
    places = []
    for i in range(after, after + times):
        start = board.next_start()
        places.append(start.nodes[0])
        board.start(f"failed {i}", start)
        board.end(f"failed {i}", "no room")
    return places


def test_a_node_on_which_no_group_starts_gets_none_any_more(study):
    board = Board(plan_runs(study), lambda run: 30.0)
    board.set_nodes(nodes(1, 2))
    assert fail_to_start(board, START_TRIES) == ["n0"] * START_TRIES
    assert not board.stuck
    assert begin(board, "a").runs
    assert fail_to_start(board, START_TRIES - 1) == ["n1"] * (START_TRIES - 1)
    assert begin(board, "b").runs  # one that starts clears the node
    board.end("b", "killed")
    assert fail_to_start(board, START_TRIES) == ["n1"] * START_TRIES
    assert board.next_start() is None
    assert not board.stuck  # there is a group at work
    board.end("a", "killed")
    assert board.stuck
    board.set_nodes([*nodes(1, 2), Node(name="new", slots=1)])
    assert not board.stuck
    assert board.given_up == {}


def test_a_group_that_fits_only_a_node_where_none_starts_is_stuck(study):
    board = Board(plan_runs(study), lambda run: 30.0, workers=2)
    board.set_nodes(nodes(1, 2))
    assert fail_to_start(board, START_TRIES) == ["n1"] * START_TRIES
    assert board.stuck


def test_a_node_that_is_gone_is_to_blame_for_its_groups_and_for_nothing_else(study):
    planned = plan_runs(study)
    board = Board(planned, lambda run: 30.0)
    for i in range(max(TRIES, START_TRIES)):
        board.set_nodes([Node(name="spot", slots=2)])
        order = begin(board, f"at work {i}")
        board.start(f"starting {i}", board.next_start())
        board.set_nodes([])
        for name in (f"at work {i}", f"starting {i}"):
            board.end(name, "its node died")
        assert not board.stuck
    board.set_nodes([Node(name="spot", slots=1)])
    assert begin(board, "last").runs == order.runs
    assert board.given_up == {}


def test_a_run_whose_groups_die_is_given_up_with_what_starts_from_it(study):
    planned = plan_runs(study)
    board = Board(planned, one_second)
    board.set_nodes(nodes(1))
    trunk = next(run for run in planned if run.kind == "pretrain")
    deaths = 0
    for i in range(100):
        if board.next_start() is None:
            break
        order = begin(board, str(i))
        while order.runs:
            if trunk in order.runs:
                for run in order.runs[: order.runs.index(trunk)]:
                    board.finish(str(i), run.key)
                board.end(str(i), "SIGSEGV")
                deaths += 1
                break
            for run in order.runs:
                board.finish(str(i), run.key)
            order = board.take(str(i))
        else:
            board.end(str(i))
    assert deaths == TRIES
    assert board.given_up[trunk.key].reason == f"its workers died {TRIES} times: SIGSEGV"
    followers = {run.key for run in planned if run.trunk == trunk.key}
    assert followers <= board.given_up.keys()
    assert all("has not finished" in board.given_up[key].reason for key in followers)
    assert board.done


def test_a_run_that_gets_on_between_deaths_is_not_given_up(study):
    board = Board(plan_runs(study)[:1], one_second)
    board.set_nodes(nodes(1))
    for i in range(2 * TRIES):
        key = begin(board, str(i)).runs[0].key
        board.end(str(i), "node lost")
        board.saved(key)
    assert board.given_up == {}


def test_a_large_run_whose_node_is_gone_goes_on_with_fewer_workers(study):
    planned = [run for run in plan_runs(study) if run.mixture.is_scratch]
    wide = replace(planned[0].recipe, schedule=replace(planned[0].recipe.schedule, batch_size=64))
    long = replace(planned[0], key="long", recipe=wide, examples=64)
    board = Board([*planned, long], lambda run: 5000.0 if run.key == "long" else 300.0, most=8)
    board.set_nodes(nodes(2, 8))
    start = board.next_start()
    assert start == Start(nodes=("n1",) * 8)
    board.start("a", start)
    assert [run.key for run in board.take("a").runs] == ["long"]
    board.set_nodes(nodes(2))  # seen before the group is known to have ended
    board.end("a", "node lost")
    assert board.next_start() == Start(nodes=("n0",) * 2)


def test_a_group_that_was_told_to_end_costs_its_runs_nothing(study):
    board = Board(plan_runs(study)[:1], one_second)
    board.set_nodes(nodes(1))
    for i in range(2 * TRIES):
        assert len(begin(board, str(i)).runs) == 1
        board.end(str(i))
    assert board.given_up == {}


def test_a_failed_trunk_takes_its_followers_with_it_and_no_others(study):
    planned = plan_runs(study)
    board = Board(planned, one_second)
    board.set_nodes(nodes(1))
    order, done = begin(board, "a"), set()
    while not order.retire:
        for run in order.runs:
            if run.kind == "pretrain":
                board.fail("a", run.key, Failure(kind="Diverged", reason="loss is nan"))
            else:
                board.finish("a", run.key)
                done.add(run.key)
        order = board.take("a")
    assert done == {run.key for run in planned if run.mixture.is_scratch}
    assert set(board.given_up) == {run.key for run in planned if run.trunk}
    assert {failure.kind for failure in board.given_up.values()} == {"Diverged"}


def test_nodes_that_join_are_used_and_those_that_leave_are_not(study):
    board = Board(plan_runs(study), lambda run: 100.0)
    board.set_nodes(nodes(1))
    begin(board, "a")
    assert board.next_start() is None
    board.set_nodes(nodes(1, 2))
    assert board.next_start() == Start(nodes=("n1",))
    begin(board, "b")
    board.set_nodes(nodes(1))
    assert board.take("b") == Order(retire=True)
    assert board.next_start() is None


def test_a_large_group_goes_first_and_smaller_ones_make_room(study):
    planned = [run for run in plan_runs(study) if run.mixture.is_scratch]
    wide = replace(planned[0].recipe, schedule=replace(planned[0].recipe.schedule, batch_size=64))
    long = replace(planned[0], key="long", recipe=wide, examples=64)
    board = Board([*planned, long], lambda run: 5000.0 if run.key == "long" else 300.0, most=4)
    board.set_nodes(nodes(1))
    assert begin(board, "a").runs[0].key == "long"  # nothing else is there
    board.end("a")
    board.set_nodes(nodes(1))
    board.start("b", Start(nodes=("n0",)))
    board.set_nodes(nodes(1, 4))
    start = board.next_start()
    assert start == Start(nodes=("n1",) * 4)
    board.start("c", start)
    assert [run.key for run in board.take("c").runs] == ["long"]
    board.end("c")
    for i in range(4):
        board.start(f"small{i}", Start(nodes=("n1",)))
    assert board.next_start() is None  # it waits for n1
    assert board.take("small0") == Order(retire=True)
    assert board.take("b").runs  # the other node is of no use to it


def test_a_group_spans_nodes_only_where_that_was_chosen(study):
    for spread in (False, True):
        board = Board(plan_runs(study), one_second, workers=3, spread=spread)
        board.set_nodes(nodes(2, 2))
        assert board.next_start() == (Start(nodes=("n0", "n0", "n1")) if spread else None)
    board.start("a", board.next_start())
    assert board.next_start() is None
    board.end("a")
    assert board.next_start() is not None


def test_workers_of_one_model_do_not_share_a_gpu(study):
    board = Board(plan_runs(study), one_second, workers=2, per_device=4)
    board.set_nodes(nodes(8))  # two GPUs
    begin(board, "a")
    assert board.next_start() is None


@pytest.mark.slow
@drawn(st.integers(0, 10**6), st.integers(1, 9), st.floats(0, 0.3))
@settings(max_examples=40)
def test_every_run_is_done_once_and_nearly_as_fast_as_can_be(study, seed, slots, faults):
    dice, planned = random.Random(seed), plan_runs(study)
    length = {run.key: dice.uniform(1, 100) for run in planned}
    board = Board(planned, lambda run: length[run.key])
    board.set_nodes(nodes(*[1] * slots))
    now, count, done, events = 0.0, 0, [], []
    for _ in range(10_000):
        while (start := board.next_start()) is not None:
            count += 1
            board.start(str(count), start)
            heapq.heappush(events, (now + 5.0, count, None))
        if not events:
            break
        now, group, run = heapq.heappop(events)
        if run is not None:
            done.append(run.key)
            board.finish(str(group), run.key)
        order = board.take(str(group))
        if order.retire or (dice.random() < faults and order.runs):
            board.end(str(group))
        elif order.runs:
            heapq.heappush(events, (now + length[order.runs[0].key], group, order.runs[0]))
        else:
            heapq.heappush(events, (now + 0.2, group, None))
    assert board.done
    assert sorted(done) == sorted(run.key for run in planned)
    if not faults:
        chain = max(length[r.key] + length.get(r.trunk, 0) for r in planned)
        bound = max(sum(length.values()) / slots, chain)
        assert now <= bound + 5 * (1 + len(done) // slots) + max(length.values())


def stacking_board(study, slots=1):
    planned = plan_runs(study)
    board = Board(planned, one_second, device="cpu")
    board.set_nodes(nodes(slots))
    return board, planned


def test_runs_of_one_shape_come_in_a_stack_and_all_are_trained_once(study):
    board, planned = stacking_board(study)
    seen, order = [], begin(board, "a")
    sizes = []
    while not order.retire:
        for stack in order.stacks:
            assert len({shape_of(run) for run in stack}) == 1
            sizes.append(len(stack))
        for run in order.runs:
            assert run.trunk is None or run.trunk in seen
            seen.append(run.key)
        for run in order.runs:
            board.finish("a", run.key)
        order = board.take("a")
    assert sorted(seen) == sorted(run.key for run in planned)
    assert max(sizes) >= len(study.seeds)


def test_two_groups_share_what_could_be_one_stack(study):
    board, _ = stacking_board(study, slots=2)
    for name in "ab":
        board.start(name, board.next_start())
    first, second = (board.take(name) for name in "ab")
    assert first.stacks
    assert second.stacks
    assert not {run.key for run in first.runs} & {run.key for run in second.runs}


def test_what_a_group_died_with_is_tried_alone(study):
    board, _ = stacking_board(study)
    had = begin(board, "a").stacks[0]
    assert len(had) > 1
    board.end("a", "killed")
    assert len(begin(board, "b").stacks[0]) == 1
    board.end("b", "killed")
    for name in "cdefgh":
        order = begin(board, name)
        board.end(name, "killed")
    assert order.stacks
    assert set(board.given_up) >= {had[0].key}
    assert all("died 3 times" in board.given_up[run.key].reason for run in had[:1])


def test_a_group_that_forgot_gets_its_stacks_again(study):
    board, _ = stacking_board(study)
    order = begin(board, "a")
    assert board.take("a").stacks == order.stacks
