import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetscale.jets.generator import pythia as simulate
from jetscale.jets.generator import seeds
from jetscale.jets.generator.conditions import WINDOWS
from jetscale.jets.generator.processes import process_named
from jetscale.jets.generator.seeds import CHUNK_SEEDS, MAX_SEED, SOURCES, SPAN, chunk_seed
from jetscale.jets.schema import PARTS, ROLES

KEYS = list(itertools.product(ROLES, SOURCES))
ROLE_SPAN = 2 * seeds.SELECTIONS_SPAN
SELECTIONS = ["X_bb", "X_bb,X_cc", "X_YY_b*", "QCD_bb*", "QCD_light"]


@given(st.integers(1, 10**12), st.sampled_from(KEYS), st.integers(0, 10**8))
def test_seeds_are_valid_and_belong_to_one_role_and_source(seed, key, number):
    found = chunk_seed(seed, *key, number)
    assert 1 <= found <= MAX_SEED - CHUNK_SEEDS
    role, rest = divmod(found - 1, ROLE_SPAN)
    assert ROLES[role] == key[0]
    assert SOURCES[rest // SPAN] == key[1]
    assert (found - 1) % CHUNK_SEEDS == 0


@given(st.integers(1, 10**12), st.sampled_from(ROLES), st.sampled_from(SELECTIONS))
def test_label_selections_have_a_range_of_their_own_in_each_role(seed, role, part):
    for number in (0, 1, 10**9):
        found = chunk_seed(seed, role, part, number)
        assert found <= MAX_SEED - CHUNK_SEEDS
        assert ROLES[(found - 1) // ROLE_SPAN] == role
        assert (found - 1) % ROLE_SPAN >= seeds.SELECTIONS_SPAN


def test_selections_differ_by_their_labels_and_not_by_how_they_are_written():
    first = [chunk_seed(1, "pretrain", part, 0) for part in SELECTIONS]
    assert len(set(first)) == len(SELECTIONS)
    assert chunk_seed(1, "pretrain", "X_cc, X_bb", 5) == chunk_seed(1, "pretrain", "X_bb,X_cc", 5)


def test_chunks_of_a_job_have_different_seeds():
    found = {chunk_seed(3, role, source, n) for role, source in KEYS for n in range(100)}
    assert len(found) == 100 * len(KEYS)
    assert chunk_seed(3, "train", "Hbb", 0) != chunk_seed(4, "train", "Hbb", 0)


def near_the_end(role, source):
    """A user's seed whose first chunk lies among the last few hundred places of its range."""
    for n in range(1, 10**6):
        if (chunk_seed(n, role, source, 0) - 1) % SPAN > SPAN - 500 * CHUNK_SEEDS:
            return n
    raise AssertionError


@pytest.mark.parametrize("source", ["Hqql", "qcd"])
@pytest.mark.parametrize("at_the_end", [False, True])
def test_no_seed_is_used_by_two_variants_chunks_or_roles(monkeypatch, source, at_the_end):
    asked = []
    monkeypatch.setattr(simulate, "Generator", lambda settings, seed, *rest: asked.append(seed))
    process = process_named(source)
    for role in ("train", "test"):
        seed = near_the_end(role, source) if at_the_end else 1
        before = len(asked)
        for number in range(1000):
            simulate.make_generators(process, chunk_seed(seed, role, source, number))
        place = ROLES.index(role) * 2 * len(SOURCES) + SOURCES.index(source)
        assert {(seed - 1) // SPAN for seed in asked[before:]} == {place}
    assert len(asked) == len(set(asked)) == 2 * 1000 * len(process.variants)


def test_a_chunk_has_a_seed_for_every_variant():
    for window in WINDOWS:
        for name in (*SOURCES[:-1], *PARTS):
            assert len(process_named(name, window).variants) <= CHUNK_SEEDS
