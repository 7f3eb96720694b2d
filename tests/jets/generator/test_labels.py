from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetscale.jets.generator import labels
from jetscale.jets.generator.decays import TOKENS, tokens_of
from jetscale.jets.generator.labels import QCD_FLAVOURS, Leaves, Partons
from jetscale.jets.schema import JETCLASS2, PARTS

RESONANCES = PARTS["res2p"].labels + PARTS["res34p"].labels
AXES = labels.JetAxes(
    event=np.zeros(1, dtype=np.int64), eta=np.zeros(1), phi=np.zeros(1), radius=0.8
)


def leaves(tokens, *, outside=(), side=0, event=0):
    """Leaves at the origin, those numbered in ``outside`` far away."""
    n = len(tokens)
    return Leaves(
        event=np.full(n, event),
        side=np.full(n, side),
        eta=np.array([2.0 if i in outside else 0.1 for i in range(n)]),
        phi=np.zeros(n),
        token=np.array([TOKENS.index(t) for t in tokens], dtype=np.int64),
    )


def name_of(label):
    return JETCLASS2[label] if label >= 0 else int(label)


def label(*args, **kwargs):
    return name_of(labels.label_resonances(leaves(*args, **kwargs), AXES)[0])


def spelled(name):
    return list(tokens_of(name).elements())


@pytest.mark.parametrize("name", RESONANCES)
def test_every_resonance_label_is_found_from_its_own_leaves(name):
    tokens = spelled(name)
    visible = [t for t in tokens if t != "v"]
    if len(tokens) == 3 and "v" not in tokens:
        assert label([*tokens, "q"], outside=(3,)) == name
    else:
        assert label(tokens) == name
    assert len(visible) in (2, 3, 4)


@given(st.lists(st.sampled_from([t for t in TOKENS if t != "v"]), min_size=4, max_size=4))
def test_order_of_leaves_never_matters_and_unknown_sets_have_no_label(tokens):
    known = {tuple(sorted(spelled(name))) for name in RESONANCES}
    found = label(tokens)
    assert found == label(tokens[::-1])
    assert (found == labels.NO_LABEL) == (tuple(sorted(tokens)) not in known)


@pytest.mark.parametrize(
    ("tokens", "outside", "expected"),
    [
        (["b", "b", "c", "c"], (3,), "X_YY_bbc"),
        (["b", "b", "tauh", "taue"], (0,), "X_YY_btauhtaue"),
        (["b", "b", "tauh", "taue"], (3,), labels.NO_LABEL),
        (["b", "b", "c", "s"], (), labels.NO_LABEL),
        (["b", "b", "c", "c"], (2, 3), labels.UNMATCHED),
        (["b", "b"], (1,), labels.UNMATCHED),
        (["q", "q", "e", "v"], (3,), "X_YY_qqev"),
        (["q", "q", "e", "v"], (0,), labels.UNMATCHED),
        (["b", "c", "tauh", "v"], (3,), "X_YY_bctauhv"),
        (["e", "v", "m", "v"], (), labels.NO_LABEL),
        (["taue", "taum"], (), labels.NO_LABEL),
    ],
)
def test_leaves_outside_the_jet(tokens, outside, expected):
    assert label(tokens, outside=outside) == expected


def test_a_jet_takes_the_resonance_of_its_own_event_and_side():
    parts = [
        leaves(["b", "b"], event=0),
        leaves(["g", "g"], event=1, outside=(0, 1)),
        leaves(["s", "c"], event=1, side=1),
    ]
    joined = Leaves(
        **{
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("event", "side", "eta", "phi", "token")
        }
    )
    axes = labels.JetAxes(event=np.array([1, 0, 2]), eta=np.zeros(3), phi=np.zeros(3), radius=0.8)
    found = labels.label_resonances(joined, axes)
    assert [name_of(i) for i in found] == ["X_cs", "X_bb", labels.UNMATCHED]
    assert labels.match_resonances(joined, axes).tolist() == [True, True, False]


def test_azimuth_wraps_around():
    pair = leaves(["b", "b"])
    pair.phi[:] = np.pi - 0.1
    axes = labels.JetAxes(
        event=np.zeros(1, dtype=np.int64), eta=np.zeros(1), phi=np.array([-np.pi + 0.1]), radius=0.8
    )
    assert labels.match_resonances(pair, axes).all()


@given(st.tuples(*[st.integers(0, 4)] * 3))
def test_qcd_labels_count_flavours_up_to_two(counts):
    flavour = np.repeat(np.arange(3), counts)
    partons = Partons(
        event=np.zeros(len(flavour), dtype=np.int64),
        eta=np.full(len(flavour), 0.3),
        phi=np.zeros(len(flavour)),
        flavour=flavour,
    )
    found = JETCLASS2[labels.label_qcd(partons, AXES)[0]]
    expected = Counter({f: min(n, 2) for f, n in zip(QCD_FLAVOURS, counts, strict=True) if n})
    assert tokens_of(found) == expected
    assert found.startswith("QCD_")


def test_partons_far_from_the_jet_do_not_count():
    partons = Partons(
        event=np.zeros(2, dtype=np.int64),
        eta=np.array([0.79, 0.81]),
        phi=np.zeros(2),
        flavour=np.array([0, 1]),
    )
    assert JETCLASS2[labels.label_qcd(partons, AXES)[0]] == "QCD_b"
