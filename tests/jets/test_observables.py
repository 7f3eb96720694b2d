import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetscale.jets.observables import (
    SOFT_CUTS,
    Constituents,
    jet_observables,
    tau_ratios,
)


def jet(pt, eta, phi):
    """One jet of massless constituents."""
    pt, eta, phi = (np.asarray(v, dtype=float) for v in (pt, eta, phi))
    return Constituents(
        start=np.array([0, len(pt)]),
        px=pt * np.cos(phi),
        py=pt * np.sin(phi),
        pz=pt * np.sinh(eta),
        energy=pt * np.cosh(eta),
    )


def values(jets):
    names, x = jet_observables(jets)
    return dict(zip(names, x[0], strict=True))


def test_two_prongs_by_hand():
    found = values(jet([300, 100], [0, 0], [-0.1, 0.3]))
    assert found["multiplicity"] == 2
    assert found["leading_1"] == pytest.approx(0.75)
    assert found["leading_2"] == found["leading_10"] == pytest.approx(1)
    assert found["pt_dispersion"] == pytest.approx(np.hypot(300, 100) / 400)
    mass = np.sqrt(2 * 300 * 100 * (1 - np.cos(0.4)))
    assert found["mass"] == pytest.approx(mass)
    axis = np.arctan2(300 * np.sin(-0.1) + 100 * np.sin(0.3), 300 * np.cos(0.1) + 100 * np.cos(0.3))
    distance = np.array([axis + 0.1, 0.3 - axis])
    for beta in (0.5, 1, 2, 3):
        expected = (np.array([0.75, 0.25]) * distance**beta).sum()
        assert found[f"angularity_{beta}"] == pytest.approx(expected)
    assert found["largest_distance"] == pytest.approx(distance.max())
    assert found["pt_within_0.2"] == pytest.approx(0.75)
    assert found["elongation"] == pytest.approx(1)
    assert found["eta_share"] == pytest.approx(0)


def test_soft_constituents_are_counted():
    found = values(jet([500, 0.5, 1.5, 4, 9], np.zeros(5), np.zeros(5)))
    assert [found[f"below_{cut:g}_gev"] for cut in SOFT_CUTS] == [1, 2, 3, 4]


def test_the_axis_crosses_the_seam_of_azimuth():
    seam = values(jet([200, 200], [0.5, 0.5], [np.pi - 0.1, -np.pi + 0.1]))
    plain = values(jet([200, 200], [0.5, 0.5], [-0.1, 0.1]))
    for name, value in plain.items():
        assert seam[name] == pytest.approx(value, abs=1e-7), name


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(st.floats(0.5, 300), st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)),
        min_size=1, max_size=30,
    ),
    st.floats(-3, 3),
)  # fmt: skip
def test_azimuth_and_order_do_not_matter(rows, turn):
    pt, eta, phi = np.array(rows).T
    first = values(jet(pt, eta, phi))
    again = values(jet(pt[::-1], eta[::-1], phi[::-1] + turn))
    for name, value in first.items():
        assert np.isfinite(value)
        if name not in ("mass", "mass_over_pt", "elongation", "eta_share"):
            close = pytest.approx(value, rel=1e-6, abs=1e-6)
            # a constituent on the edge of a cone may fall on either side
            assert name.startswith("pt_within") or again[name] == close, name
    scale = np.sum(pt * np.cosh(eta))
    assert again["mass"] == pytest.approx(first["mass"], abs=1e-6 * scale)


def test_sources_agree(make_jets):
    table = make_jets(20, range(10), 3)
    names, x = jet_observables(table)
    assert names[-3:] == ("tau21", "tau32", "tau43")
    assert x.shape == (20, len(names))
    lists = [table[f"part_{c}"].to_pylist() for c in ("px", "py", "pz", "energy")]
    length = max(len(row) for row in lists[0])
    vectors, mask = np.zeros((20, 4, length), np.float32), np.zeros((20, 1, length))
    for axis, rows in enumerate(lists):
        for i, row in enumerate(rows):
            vectors[i, axis, : len(row)] = row
            mask[i, 0, : len(row)] = 1
    few, y = jet_observables(Constituents.of_padded(vectors, mask))
    assert few == names[:-3]
    np.testing.assert_allclose(y, x[:, :-3])


def test_taus_are_optional_and_zero_over_zero_is_zero(make_jets):
    table = make_jets(4, range(10), 1)
    assert jet_observables(table.drop_columns(["jet_tau1"]))[0][-1] == "eta_share"
    ratios = tau_ratios({f"jet_tau{i}": np.array([0.4 / i, 0.0]) for i in (1, 2, 3, 4)})
    assert ratios["tau21"].tolist() == [0.5, 0.0]
    assert ratios["tau43"].tolist() == [0.75, 0.0]


def test_no_jets(make_jets):
    names, x = jet_observables(make_jets(3, range(10), 1).slice(0, 0))
    assert x.shape == (0, len(names))
    assert isinstance(make_jets(1, range(10), 1), pa.Table)


def test_published_jets_have_the_higgs_mass(real_data):
    found = np.load(real_data / "jetclass_hbb_2000.npz")
    names, x = jet_observables(Constituents.of_padded(found["pfVectors"], found["pfMask"]))
    assert np.isfinite(x).all()
    assert np.median(x[:, names.index("mass")]) == pytest.approx(120, abs=5)
    assert x[:, names.index("largest_distance")].max() > 2
