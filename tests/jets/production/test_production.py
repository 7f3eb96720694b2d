import multiprocessing
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from jetscale.errors import DataError, MissingExtra, SweepError
from jetscale.executor import in_process, process_pool
from jetscale.jets.generator.conditions import JETCLASS_WINDOW, Conditions
from jetscale.jets.generator.seeds import chunk_seed
from jetscale.jets.production import chunks, production, spectrum
from jetscale.jets.production.production import Production, make_overlays
from jetscale.jets.schema import JETCLASS, JETCLASS2, part_named


class AnyOrder:
    """An executor with some calls under way, of which any may be the next to end."""

    def __init__(self, order=0, slots=2):
        self.rng, self.slots = np.random.default_rng(order), slots
        self.closed = False

    def map(self, function, items, **_):
        under_way = []
        try:
            while True:
                while len(under_way) < self.slots and (item := next(items, None)) is not None:
                    under_way.append(item)
                if not under_way:
                    return
                yield function(under_way.pop(self.rng.integers(len(under_way))))
        finally:
            self.closed = True


RARITY = {"QCD_bb": 0.003, "QCD_bbccss": 0.0001}  # share of jets that a source has


def fake_chunk(chunk, pool):
    """A falling spectrum whose slope depends on the class."""
    rng = np.random.default_rng(chunk.seed)
    low, high = chunk.conditions.range.pt_range
    if low < 500:
        pt = low * (high / low) ** rng.random(chunk.events)
    else:
        names = [*JETCLASS, chunk.source]
        pt = low + rng.exponential(90 + 15 * names.index(chunk.source), chunk.events)
    pt = pt[pt < high]
    pt = pt[rng.random(len(pt)) < RARITY.get(chunk.source, 1.0)]
    n = len(pt)
    if chunk.source in JETCLASS:
        label = JETCLASS.index(chunk.source)
    else:
        label = JETCLASS2.index(part_named(chunk.source).labels[0])
    columns = {field.name: np.ones(n, np.float32) for field in chunks.SCHEMA}
    columns |= {field: np.ones(n, np.bool_) for field in columns if "part_is" in field}
    columns |= {
        "jet_pt": pt.astype(np.float32),
        "jet_label": np.full(n, label, np.int32),
        "jet_nparticles": np.ones(n, np.int32),
        "part_charge": np.ones(n, np.int32),
        "event_id": (chunk.seed << 21) + np.arange(n),
    }
    counts = {"events": chunk.events, "jets": n, "accepted": n}
    table = chunks.to_table(columns, np.arange(n + 1))
    return chunks.Harvest(table=table, counts=counts, cpu_seconds=1.0)


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(production, "find_spec", lambda name: True)
    monkeypatch.setattr(chunks, "simulate_chunk", fake_chunk)
    monkeypatch.setattr(chunks, "make_overlay", lambda seed, role, window: (None, 2.0))


OVERLAYS = {(1, "train", JETCLASS_WINDOW): (None, 2.0)}


def job(**changes):
    return Production(**{"corpus": "jetclass", "role": "train", "jets": 3007, "seed": 1, **changes})


def test_classes_are_balanced_and_have_equal_spectra(fake):
    (table,) = job().tables(in_process)
    counts = Counter(table["jet_label"].to_pylist())
    assert [counts[i] for i in range(10)] == [301] * 7 + [300] * 3
    pt, label = table["jet_pt"].to_numpy(), table["jet_label"].to_numpy()
    for i in range(10):
        found = np.histogram(pt[label == i], JETCLASS_WINDOW.edges)[0]
        np.testing.assert_array_equal(found, spectrum.quotas(counts[i]))


def test_large_jobs_come_in_bounded_tables_without_repeats(fake):
    tables = list(job(jets=23_450).tables(in_process))
    assert [len(t) for t in tables] == [10_000, 10_000, 3450]
    seen = np.concatenate([t["event_id"].to_numpy() for t in tables])
    assert len(np.unique(seen)) == 23_450


@pytest.mark.slow
def test_order_of_arrival_does_not_matter(fake):
    results = [list(job(jets=12_000).tables(in_process, dict(OVERLAYS)))]
    for order, slots in ((0, 1), (1, 2), (2, 7)):
        executor = AnyOrder(order, slots)
        results.append(list(job(jets=12_000).tables(executor, dict(OVERLAYS))))
        assert executor.closed
    for other in results[1:]:
        assert all(a.equals(b) for a, b in zip(results[0], other, strict=True))


def test_order_of_jets_is_shuffled_and_depends_on_the_seed(fake):
    labels = [
        next(iter(job(seed=seed).tables(in_process)))["jet_label"].to_numpy() for seed in (1, 2)
    ]
    assert np.count_nonzero(np.diff(labels[0])) > 2000
    assert (labels[0] != labels[1]).any()


def test_fewer_jets_than_classes(fake):
    (table,) = job(jets=3).tables(in_process)
    assert sorted(table["jet_label"].to_pylist()) == [0, 1, 2]


def test_a_part_has_exactly_its_jets(fake):
    (table,) = job(corpus="jetclass2", part="qcd", role="pretrain", jets=777).tables(in_process)
    assert len(table) == 777
    assert set(table["jet_label"].to_pylist()) == {161}


def test_a_selection_has_exactly_its_jets_though_they_are_rarer_than_thought(fake):
    made = job(corpus="jetclass2", part="QCD_bb", role="pretrain", jets=10)
    (table,) = made.tables(in_process)
    assert len(table) == 10
    (source,) = made._sources.values()
    sizes = [source.size(number) for number in range(source.used)]
    assert sizes[-1] > min(sizes)


def test_a_selection_that_hardly_occurs_is_given_up_with_a_message(fake):
    with pytest.raises(DataError, match=r"'QCD_bbccss': .* too rare") as error:
        list(
            job(corpus="jetclass2", part="QCD_bbccss", role="pretrain", jets=500).tables(in_process)
        )
    assert "\n" not in str(error.value)


def test_the_wide_window_has_its_own_spectrum(fake):
    wide = Conditions("jetclass2")
    (table,) = job(corpus="jetclass2", part="res2p", jets=700, conditions=wide).tables(in_process)
    found = np.histogram(table["jet_pt"].to_numpy(), wide.range.edges)[0]
    assert found.tolist() == [50] * 14


def test_progress_ends_at_the_number_of_jets(fake):
    calls = []
    list(job(jets=11_000).tables(in_process, progress=lambda *x: calls.append(x)))
    assert calls[-1] == (11_000, 11_000)
    assert calls == sorted(calls)


def test_provenance_accounts_for_every_jet(fake):
    for package in production.PACKAGES:
        pytest.importorskip(package, reason="the provenance states its version")
    made = job()
    list(made.tables(in_process))
    told = made.provenance()
    assert set(told["sources"]) == set(JETCLASS)
    assert sum(source["kept"] for source in told["sources"].values()) == 3007
    for name, source in told["sources"].items():
        assert source["kept"] + source["thinned"] == source["accepted"]
        assert source["first_seed"] == chunk_seed(1, "train", name, 0)
        assert source["events"] >= source["accepted"]
    assert told["cpu_seconds"] == 2 + sum(s["chunks"] for s in told["sources"].values())
    assert told["versions"]["pythia8mc"] == "8.317.2"
    assert told["labels"] == list(JETCLASS)
    assert told["conditions"] == {"window": "jetclass", "pileup": 0.0}


def test_provenance_states_the_selection(fake):
    for package in production.PACKAGES:
        pytest.importorskip(package, reason="the provenance states its version")
    made = job(corpus="jetclass2", part="X_cc, X_bb", jets=50)
    list(made.tables(in_process))
    told = made.provenance()
    assert told["labels"] == ["X_bb", "X_cc"]
    (source,) = told["sources"].values()
    assert source["family"] == "res2p"
    assert [decay[:2] for decay in source["decays"]] == [[5, -5], [4, -4]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"corpus": "jetclas"}, "did you mean 'jetclass'"),
        ({"corpus": "quarkgluon", "part": "X_bb"}, "unknown corpus 'quarkgluon'"),
        ({"corpus": "top"}, "unknown corpus 'top'.* known: jetclass, jetclass2"),
        ({"role": "training"}, "did you mean 'train'"),
        ({"part": "qcd"}, "has no parts"),
        ({"corpus": "jetclass2", "part": "res3p"}, "did you mean 'res2p'|did you mean 'res34p'"),
        ({"corpus": "jetclass2", "part": "X_bb,QCD_b"}, "give each a part of its own"),
        ({"conditions": Conditions("jetclass2")}, "simulate corpus 'jetclass' in window"),
        ({"corpus": "jetclass2"}, "'jetclass2' needs a part: give --part qcd, res2p or res34p"),
        ({"jets": 0}, "jets is 0, needs 1 or more"),
        ({"seed": 0}, "seed is 0"),
    ],
)
def test_mistakes_are_one_line(changes, message):
    with pytest.raises(DataError, match=message) as error:
        job(**changes)
    assert "\n" not in str(error.value)


def test_missing_packages_are_named_before_anything_runs(monkeypatch):
    monkeypatch.setattr(production, "find_spec", lambda name: None if name == "fastjet" else True)
    with pytest.raises(MissingExtra, match="'fastjet'"):
        job()


@pytest.mark.slow
def test_importing_needs_no_optional_package():
    code = (
        "import sys, jetscale.jets.production.production as p; "
        "print({'pythia8mc', 'fastjet', 'awkward'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


def test_overlays_are_made_once_and_shared(fake, monkeypatch):
    made = []
    overlay = lambda *key: made.append(key) or (None, 2.0)  # noqa: E731
    monkeypatch.setattr(chunks, "make_overlay", overlay)
    overlays = make_overlays(in_process, [(1, "train", JETCLASS_WINDOW)])
    for role, seed in (("train", 1), ("train", 2), ("test", 1), ("train", 2)):
        list(job(jets=10, role=role, seed=seed).tables(in_process, overlays))
    assert [key[:2] for key in made] == [(1, "train"), (2, "train"), (1, "test")]
    assert len(overlays) == 3


@pytest.mark.parametrize("failure", [SweepError("died"), KeyboardInterrupt()])
def test_whatever_ends_a_job_ends_its_chunks(fake, monkeypatch, failure):
    def fail(chunk, pool):
        raise failure

    monkeypatch.setattr(chunks, "simulate_chunk", fail)
    executor = AnyOrder()
    with pytest.raises(type(failure)):
        list(job().tables(executor, dict(OVERLAYS)))
    assert executor.closed


def test_a_job_that_is_left_early_ends_its_chunks(fake):
    executor = AnyOrder()
    tables = job(jets=11_000).tables(executor, dict(OVERLAYS))
    next(tables)
    assert not executor.closed
    tables.close()
    assert executor.closed


def test_a_chunk_names_itself():
    chunk = chunks.Chunk(source="Hbb", seed=5, events=100, number=3)
    assert str(chunk) == "simulation of 'Hbb', chunk 3 (seed 5)"


def real(executor):
    made = job(corpus="jetclass2", part="res2p", role="pretrain", jets=12)
    return list(made.tables(executor)), made


@pytest.mark.long
@pytest.mark.integration
@pytest.mark.filterwarnings("default")
def test_real_jets_are_the_same_in_one_process_in_two_and_on_ray(capfd, pool, on_ray):
    pytest.importorskip("pythia8mc")
    capfd.readouterr()
    (one, made), (two, _) = real(in_process), real(pool)
    assert capfd.readouterr() == ("", "")
    (three, _) = real(on_ray)
    assert [len(t) for t in one] == [12]
    assert one[0].equals(two[0])
    assert one[0].equals(three[0])
    assert made.cpu_seconds > 0


@pytest.mark.long
@pytest.mark.integration
def test_a_simulation_survives_a_killed_worker():
    pytest.importorskip("pythia8mc")
    victims = []

    def kill(done, wanted):
        if not victims:
            victims.extend(multiprocessing.active_children())
            for process in victims:
                process.kill()

    small = {"corpus": "jetclass2", "part": "res2p", "jets": 150}
    with process_pool(1) as pool:
        killed = list(job(**small).tables(pool, progress=kill))
        whole = list(job(**small).tables(pool))
    assert victims
    assert killed[0].equals(whole[0])
