import numpy as np
import pytest

from jetscale.jets.schema import JETS
from jetscale.measures.space import (
    REACH,
    WAVES,
    ConstituentWaves,
    Scale,
    median_distance,
    observables,
)
from jetscale.mixtures.ragged import Ragged
from jetscale.mixtures.standardise import standardise

FEATURES = [feature.name for feature in JETS.features_of("kinpid")]


@pytest.fixture
def jets(make_jets):
    return standardise(make_jets(60, range(10), 3), "kinpid", 16)


def test_scaling_is_that_of_the_reference_and_hides_no_shift(rng):
    reference = rng.normal(3.0, 2.0, size=(4000, 2))
    scale = Scale.of(reference)
    assert np.abs(np.median(scale.apply(reference), axis=0)).max() < 0.05
    assert scale.apply(reference).std(axis=0) == pytest.approx([1, 1], abs=0.06)
    assert np.median(scale.apply(reference + 2.0), axis=0) == pytest.approx([1, 1], abs=0.06)


def test_a_column_of_mostly_equal_values_is_scaled_by_its_deviation():
    points = np.zeros((100, 2))
    points[:5, 0] = 1.0
    scaled = Scale.of(points).apply(points)
    assert scaled[0, 0] == pytest.approx(1 / points[:, 0].std())
    assert (scaled[:, 1] == 0).all()


def test_far_points_are_cut():
    scale = Scale.of(np.linspace(-1, 1, 100)[:, None])
    assert scale.apply(np.array([[1e6]])) == REACH


def test_observables_are_those_that_all_tables_can_give(make_jets):
    whole = make_jets(30, range(10), 1)
    without = make_jets(30, range(10), 2).drop_columns(["jet_tau4"])
    a, b = observables([whole, without])
    assert a.shape == b.shape
    assert a.shape[1] < observables([whole])[0].shape[1]
    assert np.isfinite(a).all()


def test_the_order_of_constituents_does_not_matter(jets, rng):
    embed = ConstituentWaves(jets, FEATURES).embed
    rows = np.concatenate(
        [
            first + rng.permutation(last - first)
            for first, last in zip(jets.offsets, jets.offsets[1:], strict=False)
        ]
    )
    shuffled = Ragged(values=jets.values[rows], offsets=jets.offsets, labels=jets.labels)
    assert embed(shuffled) == pytest.approx(embed(jets), abs=1e-6)
    assert embed(jets).shape == (60, 2 * WAVES + 1)


def test_waves_are_averaged_by_share_of_pt(jets):
    embed = ConstituentWaves(jets, FEATURES).embed
    single = Ragged(values=jets.values[:1], offsets=np.array([0, 1]), labels=jets.labels[:1])
    point = embed(single)[0]
    assert point[:WAVES] == pytest.approx(point[WAVES:-1])
    assert np.abs(embed(jets)[:, :-1]).max() <= 1 + 1e-9
    assert embed(jets)[:, -1] == pytest.approx(np.log(jets.lengths))


def test_the_embedding_is_the_same_in_every_process(jets):
    first, second = (ConstituentWaves(jets, FEATURES).embed(jets) for _ in range(2))
    assert (first == second).all()


def test_the_median_distance_of_a_line():
    assert median_distance(np.array([[0.0], [1.0], [3.0]])) == 2.0
