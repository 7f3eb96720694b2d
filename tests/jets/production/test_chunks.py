import hashlib

import numpy as np
import pytest

from jetscale.jets.generator import pythia as simulate
from jetscale.jets.generator.conditions import Conditions
from jetscale.jets.generator.processes import CLASSES, HIGGS
from jetscale.jets.generator.seeds import chunk_seed
from jetscale.jets.production import chunks
from jetscale.jets.schema import JETCLASS2, PARTS, part_named
from jetscale.jets.shards.columns import conform


def test_tables_have_the_types_of_the_schema():
    n = np.array([2, 1, 1])
    start = np.concatenate([[0], np.cumsum(n)])
    columns = {}
    for column in chunks.SCHEMA:
        size = 4 if column.name.startswith("part_") else len(n)
        kind = np.bool_ if "part_is" in column.name else np.float32
        columns[column.name] = np.ones(size, kind)
    for name in ("part_charge", "jet_label"):
        columns[name] = columns[name].astype(np.int32)
    columns["jet_nparticles"] = n.astype(np.int32)
    columns["event_id"] = np.arange(3)
    table = chunks.to_table(columns, start)
    assert table.schema == chunks.SCHEMA
    assert table["part_px"].to_pylist() == [[1.0, 1.0], [1.0], [1.0]]
    assert conform(table).equals(table)


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


def run(source, pool, seed=None, events=60, **conditions):
    seed = seed or chunk_seed(1, "train", source, 0)
    order = chunks.Chunk(
        source=source, seed=seed, events=events, conditions=Conditions(**conditions)
    )
    return chunks.simulate_chunk(order, pool)


@pytest.mark.integration
def test_equal_chunks_are_equal_bytes_and_others_differ(pool, capfd):
    first, again = run("Hqql", pool), run("Hqql", pool)
    other = run("Hqql", pool, seed=77)
    assert digest(first.table) == digest(again.table)
    assert digest(first.table) != digest(other.table)
    assert capfd.readouterr() == ("", "")


@pytest.mark.integration
def test_hard_events_of_neighbouring_chunks_differ(pool):
    process, events = CLASSES["Hqql"], []
    for number in range(2):
        seed = chunk_seed(1, "train", "Hqql", number)
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
    assert counts["jets"] == sum(counts.values()) - counts["jets"] - counts["events"]
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
@pytest.mark.parametrize("part", ["X_bb,X_cc", "X_YY_bbb", "QCD_light"])
def test_a_selection_gives_its_labels_and_counts_the_others(pool, part):
    harvest = run(part, pool, events=100)
    names = {JETCLASS2[i] for i in harvest.table["jet_label"].to_pylist()}
    assert names
    assert names <= set(part_named(part).labels)
    counts = harvest.counts
    assert (counts["unselected"] > 0) == (part != "X_bb,X_cc")
    assert counts["accepted"] == len(harvest.table)


@pytest.mark.integration
def test_parts_of_one_family_hold_different_events(pool):
    tables = [run(part, pool).table for part in ("X_bb", "X_bb,X_cc")]
    seen = [set(table["jet_pt"].to_pylist()) for table in tables]
    assert not seen[0] & seen[1]


@pytest.mark.integration
@pytest.mark.parametrize("source", ["qcd", "res2p", "res34p"])
def test_the_wide_window_is_filled(pool, source):
    table = run(source, pool, events=90, window="jetclass2").table
    pt, eta = table["jet_pt"].to_numpy(), table["jet_eta"].to_numpy()
    assert (pt > 200).all()
    assert (pt < 2500).all()
    assert pt.min() < 300
    assert pt.max() > 1200
    assert 1.5 < np.abs(eta).max() < 2.5


@pytest.mark.integration
def test_hbb_jets_have_the_higgs_mass(pool):
    table = run("Hbb", pool, events=150).table
    assert np.median(table["jet_sdmass"].to_numpy()) == pytest.approx(116, abs=8)
    assert set(table["jet_label"].to_pylist()) == {1}
