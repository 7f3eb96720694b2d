"""The whole table of a study, from fixed seeds: every mixture in every space, and its trunks."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jetscale.jets import schema
from jetscale.jets.arrays import Floats
from jetscale.measures import alignment, diversity
from jetscale.measures.axes import axes_of
from jetscale.measures.result import DOWNSTREAM, MeasureTable, Row, Value
from jetscale.measures.sample import model_inputs, read_samples
from jetscale.measures.sentences import SENTENCES, notes
from jetscale.measures.space import SPACES, ConstituentWaves, Scale, median_distance, observables
from jetscale.measures.transfer import measure_trunks
from jetscale.mixtures.declared import Progress
from jetscale.store.home import Home
from jetscale.study import Study

JETS = 2000  # jets per sample by default
SEED = 1


def measure_study(
    study: Study, home: Home, shards: Mapping[str, Path], progress: Progress, jets: int = JETS
) -> MeasureTable:
    """Diversity, alignment and transfer of every mixture of a study.

    Args:
        home: Results folder; pretrained trunks are looked for there.
        shards: Shard folder per role and part, from `jetscale.mixtures.inputs.ensure_shards`.
        jets: Jets per sample; fewer where the study has fewer.

    Raises what `read_samples` does.
    """
    samples = read_samples(study, shards, jets)
    sets = {DOWNSTREAM: samples.downstream, **samples.mixtures}
    # every space: the points of the reference, of the downstream jets and of every mixture
    tables = [sample.table for sample in (samples.reference, *sets.values())]
    streams = [model_inputs(table, study.recipe) for table in tables]
    names = [feature.name for feature in schema.JETS.features_of(study.recipe.data.features)]
    embed = ConstituentWaves(streams[0], names).embed
    points = (observables(tables), [embed(stream) for stream in streams])
    spaces = dict(zip(SPACES, points, strict=True))
    measured, steps = {}, len(sets) * len(spaces)
    for i, (name, sample) in enumerate(sets.items()):
        counts = np.array(list(sample.label_counts.values()))
        spread = {f"labels_q{q}": diversity.effective_labels(counts, q, SEED) for q in (0, 1, 2)}
        distance: dict[str, Value] = {}
        for j, (space, (task, *others)) in enumerate(spaces.items()):
            progress("measuring mixtures", i * len(spaces) + j, steps)
            for found, new in zip((spread, distance), measure_points(others[i], task), strict=True):
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
    limit, means = study.recipe.data.constituents, []
    for name in (*rows, DOWNSTREAM):
        lengths = sets[name].table["jet_nparticles"].to_numpy()
        means.append(f"{name} {np.minimum(lengths, limit).mean():.1f}")
    mean_lengths = f"mean constituents per jet, cut at {limit}: {', '.join(means)}"
    return MeasureTable(
        study=study.name,
        jets=samples.jets,
        downstream=downstream,
        mixtures=rows,
        axes=axes_of(rows),
        notes=(*notes(samples.jets), mean_lengths, *remarks),
        sentences=SENTENCES,
    )


def expected_seconds(study: Study, jets: int) -> float:
    """How long `measure_study` takes on a core, good to a factor of two.

    Measured: 5 s for a sample of 500 jets, 10 s for one of 2000, and a second for each trunk.
    """
    jets = min(jets, study.recipe.data.pretraining_jets)
    trunks = 2 * (len(study.pretrained) + 1)
    return (len(study.pretrained) + 1) * (3.3 + 3.2e-3 * jets) + trunks


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
