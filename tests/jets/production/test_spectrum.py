import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from jetscale.jets.generator.conditions import JETCLASS_WINDOW, WINDOWS
from jetscale.jets.production import spectrum

EDGES, SCALE = JETCLASS_WINDOW.edges, JETCLASS_WINDOW.scale
BINS = len(EDGES) - 1


def jets(pt):
    return pa.table({"jet_pt": pa.array(pt, pa.float32()), "n": np.arange(len(pt))})


def test_target_is_a_falling_share_of_one():
    shares = spectrum.target()
    assert shares.sum() == pytest.approx(1)
    assert (np.diff(shares) < 0).all()
    np.testing.assert_allclose(shares[1:] / shares[:-1], np.exp(-50 / SCALE))


def test_the_wide_target_is_equal_in_all_bins():
    shares = spectrum.target(WINDOWS["jetclass2"])
    assert shares == pytest.approx([1 / 14] * 14)


@given(st.integers(0, 100_000), st.sampled_from(list(WINDOWS.values())))
def test_quotas_sum_exactly_and_follow_the_target(n, window):
    quotas = spectrum.quotas(n, window)
    assert quotas.sum() == n
    assert (np.abs(quotas - n * spectrum.target(window)) < 1).all()


def test_bins_include_their_lower_edge_and_float32_rounding():
    pt = np.array([500, 549.99, 550, 999.9, np.nextafter(1000, 0)], dtype=np.float32)
    assert spectrum.bin_of(pt).tolist() == [0, 0, 1, 9, 9]
    assert spectrum.bin_of(np.array([200.0, 2500.0]), WINDOWS["jetclass2"]).tolist() == [0, 13]


@given(st.lists(st.integers(0, BINS - 1), max_size=60))
def test_rank_counts_earlier_entries_of_the_bin(bins):
    expected = [bins[:i].count(b) for i, b in enumerate(bins)]
    assert spectrum.rank_in_bin(np.array(bins, dtype=np.int64)).tolist() == expected


def test_stock_draws_the_first_jets_of_each_bin_and_keeps_the_rest():
    remaining = np.zeros(BINS, dtype=np.int64)
    remaining[:2] = [3, 1]
    stock = spectrum.Stock(jets([]), remaining)
    stock.add(jets([510, 560, 520, 570, 530, 540]), np.full(BINS, 9))
    assert stock.counts[:2].tolist() == [3, 1]
    assert stock.dropped == 2
    wanted = np.zeros(BINS, dtype=np.int64)
    wanted[:2] = [2, 1]
    assert stock.draw(wanted)["n"].to_pylist() == [0, 1, 2]
    assert stock.counts[:2].tolist() == [1, 0]
    stock.add(jets([505, 555]), np.full(BINS, 9))
    assert stock.counts[:2].tolist() == [1, 0]  # no more of either will be drawn


def test_a_limit_bounds_what_a_stock_holds():
    stock = spectrum.Stock(jets([]), np.full(BINS, 100))
    stock.add(jets(np.full(50, 510.0)), np.full(BINS, 7))
    assert stock.counts[0] == 7


def test_thinned_spectra_of_unlike_classes_do_not_tell_them_apart():
    rng, quota = np.random.default_rng(1), spectrum.quotas(2000)
    drawn = []
    for scale in (90.0, 200.0):
        stock = spectrum.Stock(jets([]), quota)
        while (stock.counts < quota).any():
            pt = 500 + rng.exponential(scale, 4000)
            stock.add(jets(pt[pt < 1000]), quota)
        drawn.append(stock.draw(quota)["jet_pt"].to_numpy())
    area = stats.mannwhitneyu(*drawn).statistic / 2000**2
    assert area == pytest.approx(0.5, abs=3 * np.sqrt(1 / (12 * 1000)))
    np.testing.assert_array_equal(*(np.histogram(pt, EDGES)[0] for pt in drawn))


def test_target_is_close_to_published_jets(real_data):
    vectors = np.load(real_data / "jetclass_hbb_2000.npz")["pfVectors"]
    pt = np.hypot(vectors[:, 0].sum(axis=1), vectors[:, 1].sum(axis=1))
    share = np.histogram(pt, EDGES)[0] / len(pt)
    np.testing.assert_allclose(share, spectrum.target(), atol=0.03)
