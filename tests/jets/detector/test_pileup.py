from dataclasses import fields

import numpy as np
import pytest

from jetscale.jets.detector.detector import Candidates, subtract_pileup
from jetscale.jets.generator.conditions import Conditions
from jetscale.jets.generator.seeds import chunk_seed
from jetscale.jets.production import chunks


def track(charge, d0, dz, error=0.1):
    n = len(charge)
    one = np.ones(n)
    columns = {field.name: one for field in fields(Candidates)}
    columns |= {"charge": np.array(charge, dtype=float), "d0": np.array(d0), "dz": np.array(dz)}
    columns |= dict.fromkeys(("event", "kind"), np.zeros(n, dtype=np.int64))
    return Candidates(**{**columns, "d0_error": error * one, "dz_error": error * one})


def test_prompt_tracks_of_other_vertices_go_and_the_rest_stays():
    candidates = track(
        charge=[1, -1, 1, 1, 0],
        d0=[0.0, 0.1, 0.0, 2.0, 0.0],
        dz=[0.9, -30.0, 1.1, 30.0, 0.0],
    )
    left = subtract_pileup(candidates)
    assert left.dz.tolist() == [0.9, 30.0, 0.0]
    assert left.d0.tolist() == [0.0, 2.0, 0.0]


def test_poorly_measured_tracks_stay_within_their_error():
    candidates = track(charge=[1, 1], d0=[0.0, 0.0], dz=[2.9, 3.1], error=1.0)
    assert subtract_pileup(candidates).dz.tolist() == [2.9]


@pytest.fixture(scope="module")
def pool():
    pytest.importorskip("pythia8mc")
    return chunks.make_soft_pool(60, 3)


def run(pool, **conditions):
    order = chunks.Chunk(
        source="Hbb",
        seed=chunk_seed(1, "train", "Hbb", 0),
        events=60,
        conditions=Conditions(**conditions),
    )
    return chunks.simulate_chunk(order, pool)


@pytest.mark.integration
def test_no_pileup_is_the_same_bytes_and_pileup_adds_neutral_constituents(pool):
    none, zero, crowded = run(pool), run(pool, pileup=0.0), run(pool, pileup=40.0)
    assert none.table.equals(zero.table)
    assert crowded.counts["events"] == 60

    def per_jet(table, neutral):
        flags = ("part_isPhoton", "part_isNeutralHadron")
        hits = sum(
            table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False).sum()
            for name in flags
        )
        total = table["jet_nparticles"].to_numpy().sum()
        return (hits if neutral else total - hits) / len(table)

    assert per_jet(crowded.table, True) > per_jet(none.table, True) + 3
    added = per_jet(crowded.table, False) - per_jet(none.table, False)
    assert abs(added) < 4  # most foreign tracks are subtracted
