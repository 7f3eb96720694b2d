import hashlib
import itertools
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetscale.jets import chunks, simulate
from jetscale.jets.columns import conform
from jetscale.jets.processes import HIGGS, PROCESSES
from jetscale.jets.schema import JETCLASS2, PARTS, ROLES
from jetscale.jets.simulate import MAX_SEED

KEYS = list(itertools.product(ROLES, PROCESSES))


@given(st.integers(1, 10**12), st.sampled_from(KEYS), st.integers(0, 10**8))
def test_seeds_are_valid_and_belong_to_one_role_and_source(seed, key, number):
    found = chunks.chunk_seed(seed, *key, number)
    assert 1 <= found <= MAX_SEED
    segment = (found - 1) // chunks._SPAN
    assert ROLES[segment // len(chunks._SOURCES)] == key[0]
    assert chunks._SOURCES[segment % len(chunks._SOURCES)] == key[1]


def test_chunks_of_a_job_have_different_seeds():
    seeds = {chunks.chunk_seed(3, role, source, n) for role, source in KEYS for n in range(100)}
    assert len(seeds) == 100 * len(KEYS)
    assert chunks.chunk_seed(3, "train", "Hbb", 0) != chunks.chunk_seed(4, "train", "Hbb", 0)


def near_the_end(role, source):
    """A user's seed whose first chunk lies among the last few hundred seeds of its range."""
    room = chunks._SPAN - 500
    places = (
        (n, (chunks.chunk_seed(n, role, source, 0) - 1) % chunks._SPAN) for n in range(1, 10**6)
    )
    return next(n for n, place in places if place > room)


@pytest.mark.parametrize("source", ["Hqql", "Tbl", "qcd"])
@pytest.mark.parametrize("at_the_end", [False, True])
def test_no_seed_is_used_by_two_variants_chunks_or_roles(monkeypatch, source, at_the_end):
    asked = []
    monkeypatch.setattr(simulate, "Generator", lambda settings, seed, process: asked.append(seed))
    process = PROCESSES[source]
    for role in ("train", "test"):
        seed = near_the_end(role, source) if at_the_end else 1
        before = len(asked)
        for number in range(1000):
            simulate.make_generators(process, chunks.chunk_seed(seed, role, source, number))
        place = ROLES.index(role) * len(chunks._SOURCES) + chunks._SOURCES.index(source)
        assert {(seed - 1) // chunks._SPAN for seed in asked[before:]} == {place}
    assert len(asked) == len(set(asked)) == 2 * 1000 * len(process.variants)


def test_tables_have_the_types_of_the_schema():
    n = np.array([2, 0, 1])
    start = np.concatenate([[0], np.cumsum(n)])
    columns = {}
    for column in chunks.SCHEMA:
        size = 3 if column.name.startswith("part_") else len(n)
        kind = np.bool_ if "part_is" in column.name else np.float32
        columns[column.name] = np.ones(size, kind)
    for name in ("part_charge", "jet_label"):
        columns[name] = columns[name].astype(np.int32)
    columns["jet_nparticles"] = n.astype(np.int32)
    columns["event_id"] = np.arange(3)
    table = chunks.to_table(columns, start)
    assert table.schema == chunks.SCHEMA
    assert table["part_px"].to_pylist() == [[1.0, 1.0], [], [1.0]]
    assert conform(table).equals(table)


def test_a_stopped_job_starts_no_chunk(monkeypatch):
    stop = threading.Event()
    monkeypatch.setattr(chunks, "_stop", stop)
    stop.set()
    with pytest.raises(chunks.Stopped):
        chunks.simulate_chunk(chunks.Chunk(source="Hbb", seed=1, events=10), None)


@pytest.fixture(scope="module")
def pool():
    pytest.importorskip("pythia8mc")
    return chunks.make_soft_pool(40, 3)


def digest(table):
    whole = hashlib.sha256()
    for column in table.combine_chunks().columns:
        values = column.combine_chunks()
        values = values.flatten() if values.type.num_fields else values
        whole.update(np.ascontiguousarray(values.to_numpy(zero_copy_only=False)).tobytes())
    return whole.hexdigest()


def run(source, pool, seed=None, events=60):
    seed = seed or chunks.chunk_seed(1, "train", source, 0)
    return chunks.simulate_chunk(chunks.Chunk(source=source, seed=seed, events=events), pool)


@pytest.mark.integration
def test_equal_chunks_are_equal_bytes_and_others_differ(pool, capfd):
    first, again = run("Hqql", pool), run("Hqql", pool)
    other = run("Hqql", pool, seed=77)
    assert digest(first.table) == digest(again.table)
    assert digest(first.table) != digest(other.table)
    assert capfd.readouterr() == ("", "")


@pytest.mark.integration
def test_hard_events_of_neighbouring_chunks_differ(pool):
    process, events = PROCESSES["Hqql"], []
    for number in range(2):
        seed = chunks.chunk_seed(1, "train", "Hqql", number)
        for generator in simulate.make_generators(process, seed):
            record = generator.events(4)
            fired = record.start[:-1] + 5  # X follows the system, the beams and the partons
            assert set(record.code[fired]) == {HIGGS}
            events += record.momentum[0][fired].tolist()
    assert len(events) == len(set(events)) == 2 * 4 * len(process.variants)


@pytest.mark.integration
@pytest.mark.parametrize("source", ["QCD", "Tbl", "res34p"])
def test_jets_of_a_chunk_are_sound(pool, source):
    harvest = run(source, pool)
    table, counts = harvest.table, harvest.counts
    assert counts["events"] == 60
    assert counts["jets"] == counts["unmatched"] + counts["unlabelled"] + counts["accepted"]
    assert len(table) == counts["accepted"] > 5
    pt = table["jet_pt"].to_numpy()
    assert ((pt >= 500) & (pt <= 1000)).all()
    flat = {
        name: table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        for name in table.column_names
        if name.startswith("part_")
    }
    assert all(np.isfinite(values).all() for values in flat.values())
    assert all(np.isfinite(table[n].to_numpy()).all() for n in table.column_names[16:])
    neutral = flat["part_charge"] == 0
    for name in ("part_d0val", "part_d0err", "part_dzval", "part_dzerr"):
        assert not flat[name][neutral].any()
    assert (flat["part_d0err"][~neutral] > 0).all()
    kinds = sum(values.astype(int) for name, values in flat.items() if "part_is" in name)
    assert (kinds == 1).all()
    px = [sum(jet) for jet in table["part_px"].to_pylist()]
    expected = pt * np.cos(table["jet_phi"].to_numpy())
    np.testing.assert_allclose(px, expected, atol=0.01)
    taus = np.stack([table[f"jet_tau{i}"].to_numpy() for i in range(1, 5)])
    assert (np.diff(taus, axis=0) <= 1e-6).all()


@pytest.mark.integration
def test_labels_of_the_pretraining_parts(pool):
    for part in ("qcd", "res2p"):
        names = {JETCLASS2[i] for i in run(part, pool).table["jet_label"].to_pylist()}
        assert names <= set(PARTS[part].labels)
        assert len(names) > 3


@pytest.mark.integration
def test_hbb_jets_have_the_higgs_mass(pool):
    table = run("Hbb", pool, events=150).table
    assert np.median(table["jet_sdmass"].to_numpy()) == pytest.approx(116, abs=8)
    assert set(table["jet_label"].to_pylist()) == {1}
