"""The whole table of a study: every mixture in every space, and its trunks if there are any.

`measure_study` reads equal samples from the shards, puts them into the feature spaces, takes all
measures with fixed seeds and looks for pretrained trunks in the results folder. The same study on
the same shards gives the same table.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jetscale.jets import schema
from jetscale.jets.arrays import Floats
from jetscale.measures import alignment, diversity
from jetscale.measures.axes import axes_of
from jetscale.measures.result import DOWNSTREAM, MeasureTable, Row, Value
from jetscale.measures.sample import Samples, model_inputs, read_samples
from jetscale.measures.sentences import SENTENCES, notes
from jetscale.measures.space import SPACES, ConstituentWaves, Scale, median_distance, observables
from jetscale.measures.trunks import measure_trunks
from jetscale.mixtures.declared import Progress
from jetscale.store.home import Home
from jetscale.study import Recipe, Study

JETS = 2000
"""Jets per sample by default."""
SEED = 1


def measure_study(
    study: Study,
    home: Home,
    shards: Mapping[str, Path],
    progress: Progress,
    jets: int = JETS,
) -> MeasureTable:
    """Diversity, alignment and transfer of every mixture of a study.

    Args:
        home: Results folder; pretrained trunks are looked for there.
        shards: Shard folder per role and part, from `jetscale.mixtures.inputs.ensure_shards`.
        progress: Told what is done, how many steps are done and how many there are.
        jets: Jets per sample; fewer where the study has fewer.

    Raises:
        StudyError: Nothing but scratch, or too few jets.
        DataError: The shards are damaged or have too few jets.
        MissingExtra: scikit-learn is not installed.
    """
    samples = read_samples(study, shards, jets)
    sets = {DOWNSTREAM: samples.downstream, **samples.mixtures}
    spaces = embed_samples(samples, study.recipe)
    measured, steps = {}, len(sets) * len(spaces)
    for i, (name, sample) in enumerate(sets.items()):
        counts = np.array(list(sample.label_counts.values()))
        spread = {f"labels_q{q}": diversity.effective_labels(counts, q, SEED) for q in (0, 1, 2)}
        distance: dict[str, Value] = {}
        for j, (space, (task, *points)) in enumerate(spaces.items()):
            progress("measuring mixtures", i * len(spaces) + j, steps)
            for found, new in zip((spread, distance), measure_points(points[i], task), strict=True):
                found |= {f"{measure}_{space}": value for measure, value in new.items()}
        measured[name] = spread, distance
    progress("measuring mixtures", steps, steps)
    transfer, remarks = measure_trunks(study, home, shards, progress)
    rows = {
        name: Row(diversity=spread, alignment=distance, transfer=transfer.get(name))
        for name, (spread, distance) in measured.items()
    }
    downstream = rows.pop(DOWNSTREAM)
    # what equally many jets cost depends on how long they are
    limit = study.recipe.data.constituents
    lengths = f"mean constituents per jet, cut at {limit}: " + ", ".join(
        f"{name} {np.minimum(s.table['jet_nparticles'].to_numpy(), limit).mean():.1f}"
        for name, s in {**samples.mixtures, DOWNSTREAM: samples.downstream}.items()
    )
    return MeasureTable(
        study=study.name,
        jets=samples.jets,
        downstream=downstream,
        mixtures=rows,
        axes=axes_of(rows),
        notes=(*notes(samples.jets), lengths, *remarks),
        sentences=SENTENCES,
    )


def embed_samples(samples: Samples, recipe: Recipe) -> dict[str, list[Floats]]:
    """Feature space to the points of the reference, of the downstream jets and of every mixture."""
    sets = [samples.reference, samples.downstream, *samples.mixtures.values()]
    tables = [sample.table for sample in sets]
    streams = [model_inputs(table, recipe) for table in tables]
    features = [feature.name for feature in schema.JETS.features_of(recipe.data.features)]
    embed = ConstituentWaves(streams[0], features).embed
    return dict(zip(SPACES, (observables(tables), [embed(jets) for jets in streams]), strict=True))


def measure_points(points: Floats, task: Floats) -> tuple[dict[str, Value], dict[str, Value]]:
    """Diversity and alignment of a sample in one space, compared with the downstream reference.

    Both are (n, f) raw features. Trees need no scaling; kernels and distances get points scaled by
    the reference, and one kernel width that is the reference's too.
    """
    scale = Scale.of(task)
    reference, own = scale.apply(task), scale.apply(points)
    bandwidth = median_distance(reference)
    vendi, dimension = diversity.spread(own, bandwidth, SEED)
    distance = {
        "auc": alignment.domain_auc(points, task, SEED),
        "mmd2": alignment.mmd(own, reference, bandwidth, SEED),
        "sliced_w1": alignment.sliced_wasserstein(own, reference, SEED),
    }
    return {"vendi": vendi, "dimension": dimension}, distance
