from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetscale.jets.generator import decays
from jetscale.jets.generator.decays import (
    BASE,
    NEUTRINOS,
    TOKEN_OF_CODE,
    TOKENS,
    Mode,
    all_modes,
    key_of,
    modes_for,
    outcomes,
    selected_share,
    tokens_of,
)
from jetscale.jets.schema import PARTS

FAMILIES = ["res2p", "res34p"]
LABELS = PARTS["res2p"].labels + PARTS["res34p"].labels
CHARGE = {1: -1 / 3, 2: 2 / 3, 3: -1 / 3, 4: 2 / 3, 5: -1 / 3, 21: 0, 11: -1, 13: -1, 15: -1}
CHARGE |= {12: 0, 14: 0, 16: 0}


def charge(codes):
    return sum(CHARGE[abs(code)] * (1 if code > 0 else -1) for code in codes)


@pytest.mark.parametrize("table", [decays.NEUTRAL, decays.CHARGED_X, decays.CHARGED_Y])
def test_branching_ratios_sum_to_one(table):
    assert sum(table.values()) == pytest.approx(1.0)
    assert len({round(charge(pair), 6) for pair in table}) == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_modes_are_all_decays_and_conserve_charge(family):
    modes = all_modes(family)
    assert sum(mode.weight for mode in modes) == pytest.approx(1.0)
    for mode in modes:
        halves = [charge(mode.leaves[i : i + 2]) for i in range(0, len(mode.leaves), 2)]
        assert halves == pytest.approx(
            [1, -1][: len(halves)] if mode.charged else [0] * len(halves)
        )


def test_numbers_of_modes():
    assert [len(all_modes(family)) for family in FAMILIES] == [9 + 6, 9**2 + 9**2]
    # two leptonic Y give no label
    assert len(modes_for("res34p", PARTS["res34p"].labels)) == 9**2 - 3**2 + 9**2 - 3**2


@pytest.mark.slow
@pytest.mark.parametrize("label", LABELS)
def test_every_label_has_a_decay(label):
    family = "res2p" if label in PARTS["res2p"].labels else "res34p"
    modes = modes_for(family, (label,))
    assert modes
    assert 0 < selected_share(modes, (label,)) <= 1


def test_a_selection_makes_little_in_vain():
    (mode,) = modes_for("res2p", ("X_bb",))
    assert (mode.leaves, mode.charged) == ((5, -5), False)
    assert {m.leaves for m in modes_for("res2p", ("X_bc", "X_sq"))} == {(4, -5), (2, -3)}
    assert all(m.charged for m in modes_for("res34p", ("X_YY_bcsq", "X_YY_qqtauhv")))
    three = modes_for("res34p", ("X_YY_bbb",))
    assert [m.leaves for m in three] == [(5, -5, 5, -5)]


@given(st.sets(st.sampled_from(PARTS["res34p"].labels), min_size=1, max_size=5))
def test_selected_modes_keep_their_weights(labels):
    everything = {mode.leaves: mode.weight for mode in all_modes("res34p")}
    for mode in modes_for("res34p", tuple(labels)):
        assert mode.weight == everything[mode.leaves]
        assert labels & set(outcomes(mode))


@pytest.mark.parametrize(
    ("leaves", "labels"),
    [
        ((5, -5), {"X_bb"}),
        ((15, -15), {"X_tauhtaue", "X_tauhtaum", "X_tauhtauh"}),
        ((5, -5, 4, -4), {"X_YY_bbcc", "X_YY_bbc", "X_YY_ccb"}),
        ((2, -1, 15, -16), {"X_YY_qqtauev", "X_YY_qqtaumv", "X_YY_qqtauhv"}),
        ((11, -11, 13, -13), set()),
        ((-11, 12, 15, -16), set()),
        ((21, 21, 11, -11), {"X_YY_ggee", "X_YY_gge", "X_YY_gee"}),
        ((2, -5, -4, 3), {"X_YY_bcsq", "X_YY_bcq", "X_YY_bsq", "X_YY_csq", "X_YY_bcs"}),
    ],
)
def test_outcomes_of_a_decay(leaves, labels):
    found = outcomes(Mode(weight=1.0, charged=False, leaves=leaves))
    assert set(found) == labels
    assert sum(found.values()) <= 1 + 1e-9


def test_tau_branching_ratios_are_those_of_the_particle_data_group():
    assert sum(decays.TAU_DECAYS.values()) == pytest.approx(1)
    assert decays.TAU_DECAYS["taue"] == pytest.approx(0.1782, abs=5e-4)
    assert decays.TAU_DECAYS["taum"] == pytest.approx(0.1739, abs=5e-4)


def test_labels_spell_out_their_names():
    for name in (*LABELS, *PARTS["qcd"].labels):
        letters = name.rsplit("_", 1)[1].removesuffix("light")
        spelled = sorted("".join(tokens_of(name).elements()))
        assert spelled == sorted(letters)


def test_no_two_resonance_labels_have_one_key():
    assert len({key_of(tokens_of(name).elements()) for name in LABELS}) == 161


@given(st.lists(st.sampled_from(TOKENS), max_size=BASE - 1))
def test_keys_tell_multisets_apart_whatever_the_order(tokens):
    key, digits = key_of(tokens), Counter()
    assert key == key_of(tokens[::-1])
    for token in TOKENS:
        key, count = divmod(key, BASE)
        if count:
            digits[token] = count
    assert digits == Counter(tokens)


def test_light_quarks_share_a_token_and_neutrinos_another():
    assert TOKEN_OF_CODE[1] == TOKEN_OF_CODE[2] == "q"
    assert {TOKEN_OF_CODE[code] for code in NEUTRINOS} == {"v"}
    assert set(TOKEN_OF_CODE.values()) == set(TOKENS) - {"taue", "taum"}
