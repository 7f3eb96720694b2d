"""One suite for all executors; the one on Ray runs where Ray may be started (integration)."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from jetscale.errors import DataError, MissingExtra, SweepError
from jetscale.executor import RETRIES, ProcessPool, process_pool


def square(x):
    return x * x


def add(table, x):
    return sum(table) + x


def fail(kind, x):
    if x == 3:
        raise kind
    return x


class Odd(Exception):
    """An exception that pickle cannot make again."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def raise_odd(x):
    raise Odd(1, 2)


def die(folder, x):
    """Item 2 kills its process as often as ``folder`` allows, and leaves a mark each time."""
    marks = len(list(folder.glob("2-*")))
    (folder / f"{x}-{time.monotonic_ns()}").touch()
    if x == 2 and marks < int((folder / "deaths").read_text()):
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def segfault(x):
    os.kill(os.getpid(), signal.SIGSEGV)


@pytest.mark.slow
def test_every_item_gives_its_result(executor):
    assert sorted(executor.map(square, range(20))) == [x * x for x in range(20)]
    assert list(executor.map(square, [])) == []


@pytest.mark.slow
def test_data_for_all_calls_are_bound_to_the_function(executor):
    found = executor.map(partial(add, tuple(range(1000))), [1, 2, 3])
    assert sorted(found) == [499501, 499502, 499503]


def test_items_may_depend_on_the_results_so_far(executor):
    """An iterator that ran dry is asked again after each result."""

    class Doubling:
        wanted, seen = [1], 0

        def __iter__(self):
            return self

        def __next__(self):
            if not self.wanted:
                raise StopIteration
            return self.wanted.pop()

    items = Doubling()
    results = []
    for result in executor.map(square, items):
        results.append(result)
        if len(results) < 6:
            items.wanted.append(len(results) + 1)
    assert results == [1, 4, 9, 16, 25, 36]


@pytest.mark.parametrize(
    "error", [DataError("file x: is damaged"), ValueError("of no room of ours"), KeyError("x")]
)
def test_errors_arrive_as_they_are_and_the_executor_lives_on(executor, error):
    with pytest.raises(type(error)) as caught:
        list(executor.map(partial(fail, error), range(6)))
    assert str(caught.value) == str(error)
    assert sorted(executor.map(square, [1, 2])) == [1, 4]


def test_a_missing_package_arrives_in_one_line(executor):
    with pytest.raises((MissingExtra, SweepError), match="package 'h5py' is not installed") as stop:
        list(executor.map(partial(fail, MissingExtra("h5py", "formats")), [3]))
    assert "\n" not in str(stop.value)


def test_results_that_are_no_longer_wanted_do_not_come_later(executor):
    first = executor.map(square, range(100))
    assert next(iter(first)) in {0, 1, 4}
    first.close()
    assert sorted(executor.map(partial(add, (1,)), [1, 2, 3])) == [2, 3, 4]


def test_an_error_that_cannot_travel_is_told(remote):
    with pytest.raises(SweepError, match="7: Odd: 1 and 2"):
        list(remote.map(raise_odd, [7]))


def make_lambda(x):
    return lambda: x


@pytest.mark.slow
def test_a_result_that_cannot_travel_is_told_and_the_pool_lives_on(pool):
    with pytest.raises(SweepError, match=r"7: its result cannot travel: .*lambda"):
        list(pool.map(make_lambda, [7]))
    assert sorted(pool.map(square, [1, 2])) == [1, 4]


def test_a_bug_shows_where_it_was(remote):
    with pytest.raises(ValueError, match="no room") as caught:
        list(remote.map(partial(fail, ValueError("no room")), [3]))
    assert "in fail" in "".join(caught.value.__notes__)


@pytest.mark.slow
def test_a_process_that_dies_is_replaced_and_its_item_tried_again(remote, tmp_path):
    (tmp_path / "deaths").write_text(str(RETRIES))
    assert sorted(remote.map(partial(die, tmp_path), range(6))) == list(range(6))
    assert len(list(tmp_path.glob("2-*"))) == RETRIES + 1


@pytest.mark.long
def test_an_item_that_kills_every_process_is_named_and_given_up(remote, tmp_path):
    (tmp_path / "deaths").write_text("1000")
    with pytest.raises(SweepError, match=rf"^2: the process working on it died {RETRIES + 1} time"):
        list(remote.map(partial(die, tmp_path), range(6)))
    assert len(list(tmp_path.glob("2-*"))) == RETRIES + 1
    assert sorted(remote.map(square, [1, 2])) == [1, 4]


@pytest.mark.slow
def test_something_else_may_stand_for_what_was_lost(remote, tmp_path):
    (tmp_path / "deaths").write_text("1000")
    lost = lambda item, why: (item, why)  # noqa: E731
    found = list(remote.map(partial(die, tmp_path), range(6), lost=lost))
    assert {x for x in found if isinstance(x, int)} == {0, 1, 3, 4, 5}
    ((item, why),) = [x for x in found if not isinstance(x, int)]
    assert item == 2
    assert f"died {RETRIES + 1} times" in why


@pytest.mark.long
def test_the_signal_that_ended_a_process_is_named(pool):
    with pytest.raises(SweepError, match=r"x: .*signal SIGSEGV"):
        list(pool.map(segfault, ["x"]))


@pytest.mark.long
def test_an_item_that_cannot_travel_is_an_error_and_the_pool_lives_on(pool):
    with pytest.raises((pickle.PicklingError, AttributeError)):
        list(pool.map(square, [1, lambda: None]))
    assert sorted(pool.map(square, [1, 2])) == [1, 4]


@pytest.mark.long
def test_a_pool_starts_no_more_processes_than_there_is_work_for():
    before = set(multiprocessing.active_children())
    with process_pool(8) as executor:
        assert list(executor.map(square, [3])) == [9]
        assert len(set(multiprocessing.active_children()) - before) == 1
    assert set(multiprocessing.active_children()) <= before


def hang(ready, x):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ready.touch()
    time.sleep(600)


@pytest.mark.slow
def test_a_pool_ends_what_is_deep_in_native_code(tmp_path, monkeypatch):
    monkeypatch.setattr("jetscale.executor.GRACE", 0.1)
    before = set(multiprocessing.active_children())

    def items():
        yield 1
        while not (tmp_path / "ready").exists():
            time.sleep(0.01)
        raise KeyboardInterrupt

    executor = ProcessPool(2)
    with pytest.raises(KeyboardInterrupt):
        list(executor.map(partial(hang, tmp_path / "ready"), items()))
    executor.close()
    assert set(multiprocessing.active_children()) <= before


def leave_file(folder, x):
    path = folder / "half"
    try:  # the call is ended as soon as the file is there
        path.touch()
        time.sleep(600)
    finally:
        path.unlink()


@pytest.mark.slow
def test_a_call_that_is_ended_cleans_up(tmp_path):
    def items():
        yield 1
        while not (tmp_path / "half").exists():
            time.sleep(0.01)
        raise KeyboardInterrupt

    with process_pool(2) as executor, pytest.raises(KeyboardInterrupt):
        list(executor.map(partial(leave_file, tmp_path), items()))
    assert list(tmp_path.iterdir()) == []


ORPHANS = """
import os, sys, time
from functools import partial
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_executor import note_and_sleep
from jetscale.executor import process_pool
if __name__ == "__main__":
    with process_pool(2) as executor:
        list(executor.map(partial(note_and_sleep, Path({folder!r})), [1, 2]))
"""


def note_and_sleep(folder, x):
    (folder / str(x)).write_text(str(os.getpid()))
    time.sleep(600)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_no_process_outlives_its_parent(tmp_path, number):
    script = tmp_path / "parent.py"
    script.write_text(ORPHANS.format(tests=str(Path(__file__).parent), folder=str(tmp_path)))
    parent = subprocess.Popen([sys.executable, script], stderr=subprocess.DEVNULL)
    notes = [tmp_path / "1", tmp_path / "2"]
    while not all(note.exists() and note.read_text() for note in notes):
        assert parent.poll() is None
        time.sleep(0.02)
    parent.send_signal(number)
    parent.wait(60)
    for note in notes:
        while running(int(note.read_text())):
            time.sleep(0.02)


def running(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


@pytest.mark.long
def test_a_script_without_a_guard_ends_with_the_reason(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from jetscale.executor import process_pool\n"
        "with process_pool(1) as pool:\n"
        "    print(list(pool.map(abs, [-1])))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode != 0
    assert "put what begins it below `if __name__ ==" in done.stderr
    script.write_text(
        "from jetscale.executor import process_pool\n"
        "if __name__ == '__main__':\n"
        "    with process_pool(1) as pool:\n"
        "        print(list(pool.map(abs, [-1])))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "[1]\n"
