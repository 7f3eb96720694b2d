import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetscale.errors import DataError
from jetscale.jets.generator.conditions import JETCLASS_WINDOW
from jetscale.jets.generator.processes import CLASSES, process_named
from jetscale.jets.production import chunks, spectrum
from jetscale.jets.production.ordering import batch_sizes, chunk_sizes, new_source


@given(st.integers(1, 60_000), st.sampled_from([1, 10]))
def test_batches_are_balanced_and_sum_exactly(jets, sources):
    sizes = batch_sizes(jets, sources)
    assert sizes.sum() == jets
    assert sizes.sum(axis=1).max() <= 10_000
    total = sizes.sum(axis=0)
    assert total.max() - total.min() <= 1
    assert (np.diff(total) <= 0).all()


@given(st.floats(1.0, 1e6))
def test_first_chunks_make_up_the_expected_need(events):
    *first, later = chunk_sizes(events)
    assert events <= sum(first) < events + len(first) + 100
    assert max(first) <= 2000
    assert 100 <= later <= max(first)


def harvest(n):
    """n jets that follow the target spectrum exactly."""
    pt = np.repeat(np.array(JETCLASS_WINDOW.edges[:-1]) + 25, spectrum.quotas(n))
    table = chunks.SCHEMA.empty_table().select(["jet_pt"])
    table = table.schema.empty_table().from_arrays([pt.astype(np.float32)], names=["jet_pt"])
    return chunks.Harvest(table=table, counts={"events": 2 * n}, cpu_seconds=1.0)


def source(jets, name="Hbb"):
    made = new_source(name, np.array([jets]))
    made.stock = spectrum.Stock(harvest(0).table, spectrum.quotas(jets))
    made.quota = spectrum.quotas(jets)
    return made


def test_a_new_source_orders_its_expected_need():
    for name in (*CLASSES, "qcd", "X_bb", "X_YY_bbb"):
        need = source(1000, name).lacking() * process_named(name).jets_per_event
        assert 1000 <= need < 1150  # rare bins round up


def test_orders_under_way_count_and_low_yields_order_more():
    made = source(1000)
    before = made.lacking()
    made.started = 1
    assert made.lacking() == before - made.size(0)
    made.use(harvest(200))  # half a jet per event, less than expected
    assert not made.ready
    assert made.progress == 200
    assert made.lacking() > 800 / CLASSES["Hbb"].jets_per_event


def test_a_full_source_orders_nothing():
    made = source(100)
    made.use(harvest(100))
    assert made.ready
    assert made.lacking() == 0
    assert made.cpu_seconds == 1.0


def test_later_chunks_grow():
    made = source(1000)
    later = [made.size(n) for n in range(len(made.sizes), len(made.sizes) + 60)]
    assert later == sorted(later)
    assert later[0] == made.sizes[-1]
    assert later[-1] == 2000


def test_a_source_is_given_up_only_when_its_jets_are_rare():
    def give(made, jets, events):
        made.use(chunks.Harvest(table=harvest(jets).table, counts={"events": events}))

    made = source(1000)
    give(made, 0, 19_999)
    give(made, 11, 1)
    with pytest.raises(DataError, match="11 jets in 30000 events, too rare"):
        give(made, 0, 10_000)
    finished = source(10)
    give(finished, 10, 10**6)
    assert finished.ready
