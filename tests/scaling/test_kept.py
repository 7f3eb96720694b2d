"""Fits kept between commands: the same answer as a fresh one, and never a stale or damaged one."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from jetscale.jsonable import as_json
from jetscale.scaling import Options, allocate, compare, fit, kept, validate
from jetscale.scaling.kept import kept_fit

pytestmark = pytest.mark.slow

QUICK = Options(replicates=50)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "jetscale" / "fits"


@pytest.fixture
def frame(grid, truth):
    better = truth * [1, 1, 0.8, 1, 1]
    return grid({"a": truth, "b": better}, params=np.geomspace(1e7, 3e9, 4))


def forbidden(*arguments, **settings):
    raise AssertionError("fitted again")


@pytest.mark.long
def test_what_is_kept_is_what_was_fitted(folder, frame, monkeypatch):
    fresh = fit(frame, QUICK)
    first = kept_fit(frame, QUICK)
    monkeypatch.setattr(kept, "fit", forbidden)
    again = kept_fit(frame, QUICK)
    for found in (first, again):
        assert json.dumps(as_json(found)) == json.dumps(as_json(fresh))
        for name in "ab":
            assert (found[name].replicates.theta == fresh[name].replicates.theta).all()
            assert found[name].law is fresh[name].law
            assert found[name]["a"] == fresh[name]["a"]
        assert str(allocate(found, 1e20)) == str(allocate(fresh, 1e20))
    assert as_json(compare(again, questions=())) == as_json(compare(fresh, questions=()))
    assert len(list(folder.iterdir())) == 1


@pytest.mark.long
@pytest.mark.parametrize("change", ["table", "options", "code", "damage", "half"])
def test_nothing_stale_or_damaged_is_used(folder, frame, monkeypatch, change):
    kept_fit(frame, QUICK)
    (path,) = folder.iterdir()
    options = QUICK
    if change == "table":
        frame = frame.assign(loss=frame["loss"] * np.where(frame.index == 3, 1 + 1e-12, 1))
    elif change == "options":
        options = Options(replicates=51)
    elif change == "code":
        monkeypatch.setattr(kept, "_sources", lambda: "other")
    elif change == "damage":
        path.write_bytes(b"PK\x03\x04" + bytes(100))
    else:
        path.write_bytes(path.read_bytes()[:1000])
    called = []
    monkeypatch.setattr(kept, "fit", lambda *given: called.append(1) or fit(*given))
    found = kept_fit(frame, options)
    assert called
    assert found["a"]["a"] == fit(frame, options)["a"]["a"]


def test_the_order_of_rows_and_unknown_columns_do_not_matter_to_the_answer(folder, frame):
    kept_fit(frame, QUICK)
    kept_fit(frame.assign(comment="x"), QUICK)
    assert len(list(folder.iterdir())) == 1


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path, frame, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert kept_fit(frame, QUICK)["a"].n_runs == len(frame) // 2


@pytest.mark.long
def test_writers_at_the_same_time_leave_one_whole_file(folder, frame):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: kept_fit(frame, QUICK), range(4)))
    (path,) = folder.iterdir()
    with np.load(path, allow_pickle=False) as file:
        assert "fields" in file
    assert {str(one["a"]["a"]) for one in found} == {str(found[0]["a"]["a"])}


@pytest.mark.long
def test_old_files_go(folder, frame, monkeypatch):
    monkeypatch.setattr(kept, "_MOST", 2)
    for replicates in (50, 51, 52):
        kept_fit(validate(frame), Options(replicates=replicates))
    assert len(list(folder.iterdir())) == 2
