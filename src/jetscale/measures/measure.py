"""The whole table of a study: every mixture in every space, and its trunks if there are any.

`measure_study` reads equal samples from the shards, puts them into the feature spaces, takes all
measures with fixed seeds and looks for pretrained trunks in the results folder. The same study on
the same shards gives the same table.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jetscale.jets.schema import features_of
from jetscale.measures import alignment, diversity
from jetscale.measures.axes import axes_of
from jetscale.measures.result import DOWNSTREAM, MeasureTable, Row, Value, Values
from jetscale.measures.sample import Sample, Samples, model_inputs, read_samples
from jetscale.measures.sentences import SENTENCES, notes
from jetscale.measures.space import SPACES, Constituents, Scale, median_distance, observables
from jetscale.measures.trunks import measure_trunks
from jetscale.store.home import Home
from jetscale.study import Recipe, Study

Floats = NDArray[np.float64]
Progress = Callable[[str, int, int], None]

JETS = 2000
"""Jets per sample by default."""
SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Space:
    """All samples in one feature space."""

    name: str
    reference: Floats
    samples: Mapping[str, Floats]

    def measures(self, name: str) -> tuple[dict[str, Value], dict[str, Value]]:
        """Diversity and alignment of one sample."""
        scale = Scale.of(self.reference)
        task, own = scale.apply(self.reference), scale.apply(self.samples[name])
        bandwidth = median_distance(task)
        vendi, dimension = diversity.spread(own, bandwidth, SEED)
        spread = {"vendi": vendi, "dimension": dimension}
        distance = {
            "auc": alignment.domain_auc(self.samples[name], self.reference, SEED),
            "mmd2": alignment.mmd(own, task, bandwidth, SEED),
            "sliced_w1": alignment.sliced_wasserstein(own, task, SEED),
        }
        return self._named(spread), self._named(distance)

    def _named(self, values: Values) -> dict[str, Value]:
        return {f"{measure}_{self.name}": value for measure, value in values.items()}


def measure_study(
    study: Study,
    home: Home,
    shards: Mapping[str, Path],
    progress: Progress,
    jets: int = JETS,
) -> MeasureTable:
    """Diversity, alignment and transfer of every mixture of a study.

    Parameters
    ----------
    home
        Results folder; pretrained trunks are looked for there.
    shards
        Shard folder per role and part, from `jetscale.mixtures.inputs.ensure_shards`.
    progress
        Told what is done, how many steps are done and how many there are.
    jets
        Jets per sample; fewer where the study has fewer.

    Raises
    ------
    StudyError
        Nothing but scratch, or too few jets.
    DataError
        The shards are damaged or have too few jets.
    MissingExtra
        scikit-learn is not installed.
    """
    samples = read_samples(study, shards, jets)
    rows: dict[str, Sample] = {DOWNSTREAM: samples.downstream, **samples.mixtures}
    spaces = _spaces(samples, study.recipe)
    steps, done = len(rows) * len(spaces), 0
    measured: dict[str, tuple[dict[str, Value], dict[str, Value]]] = {}
    for name, sample in rows.items():
        spread: dict[str, Value] = _labels(sample)
        distance: dict[str, Value] = {}
        for space in spaces:
            progress("measuring mixtures", done, steps)
            for found, new in zip((spread, distance), space.measures(name), strict=True):
                found.update(new)
            done += 1
        measured[name] = spread, distance
    progress("measuring mixtures", done, steps)
    transfer, remarks = measure_trunks(study, home, shards, progress)
    table = {
        name: Row(diversity=spread, alignment=distance, transfer=transfer.get(name))
        for name, (spread, distance) in measured.items()
    }
    downstream = table.pop(DOWNSTREAM)
    return MeasureTable(
        study=study.name,
        jets=samples.jets,
        downstream=downstream,
        mixtures=table,
        axes=axes_of(table),
        notes=(*notes(samples.jets), _lengths(samples, study.recipe), *remarks),
        sentences=SENTENCES,
    )


def _labels(sample: Sample) -> dict[str, Value]:
    counts = np.array(list(sample.label_counts.values()))
    return {f"labels_q{q}": diversity.effective_labels(counts, q, SEED) for q in (0, 1, 2)}


def _lengths(samples: Samples, recipe: Recipe) -> str:
    """Constituents per jet, which decide what equally many jets cost."""
    means = {
        name: float(
            np.minimum(s.table["jet_nparticles"].to_numpy(), recipe.data.constituents).mean()
        )
        for name, s in {**samples.mixtures, DOWNSTREAM: samples.downstream}.items()
    }
    listed = ", ".join(f"{name} {mean:.1f}" for name, mean in means.items())
    return f"mean constituents per jet, cut at {recipe.data.constituents}: {listed}"


def _spaces(samples: Samples, recipe: Recipe) -> list[_Space]:
    """Every sample in both feature spaces."""
    names = [DOWNSTREAM, *samples.mixtures]
    tables = [samples.downstream.table, *(s.table for s in samples.mixtures.values())]
    task = samples.reference.table
    features = [feature.name for feature in features_of(recipe.data.features)]
    streams = [model_inputs(t, recipe) for t in (task, *tables)]
    embed = Constituents(streams[0], features).embed
    found = dict(
        zip(SPACES, (observables([task, *tables]), [embed(jets) for jets in streams]), strict=True)
    )
    return [
        _Space(name=space, reference=first, samples=dict(zip(names, others, strict=True)))
        for space, (first, *others) in found.items()
    ]
