"""Corpora from outside the package, all the way to records: nothing inside knows them."""

from dataclasses import replace

import numpy as np
import pytest
from fixtures import stars

from jetscale.errors import StudyError
from jetscale.executor import in_process
from jetscale.jets.schema import JETS
from jetscale.jets.shards import open_shards, write_shards
from jetscale.measures.sample import check_measurable
from jetscale.mixtures.assemble import prepare_in_process
from jetscale.mixtures.inputs import ensure_shards, stream_plans
from jetscale.mixtures.stream import open_stream
from jetscale.planning import plan_runs
from jetscale.planning.identity import recipe_of
from jetscale.store.home import StudyFolder
from jetscale.store.record import make_table
from jetscale.store.records import RecordStore
from jetscale.study import Controls, Declared, Folders, Mixture, ModelSize, Study
from jetscale.sweep.worker import Job, run_job

RECIPE = Controls(
    pretraining_jets=300,
    validation_jets=50,
    test_jets=200,
    constituents=8,
    epochs=4,
    features="kin",
)


def make(source, *mixtures, **settings):
    return Study(
        name="own",
        source=source,
        mixtures=(Mixture(name="scratch"), *mixtures),
        ladder=(ModelSize(width=8, layers=1, heads=1),),
        data_sizes=(40, 80),
        seeds=(1, 2),
        recipe=RECIPE.change(**settings),
    )


def train(study, root):
    """The job of a study and its records, without Ray."""
    shards = ensure_shards(study, root, in_process, lambda what, done, total: None)
    folder = StudyFolder(root / "study")
    store = RecordStore(folder)
    store.prepare()
    job = Job(
        study=study,
        folder=folder,
        streams=prepare_in_process(stream_plans(study, shards), root / "streams"),
        recipe=recipe_of(study),
        runs=plan_runs(study),
    )
    assert run_job(job)["failed"] == 0
    return job, list(store.read_all(store.keys()).values())


def mean_losses(records):
    """Mean loss of the fine-tuning runs of every mixture."""
    table = make_table(record for record in records if record.kind == "finetune")
    return table.groupby("mixture")["loss"].mean()


def separable(make_jets, n, classes, seed):
    """Jets whose pT tells the class."""
    table = make_jets(n, classes, seed)
    for name in ("part_px", "part_py"):
        i = table.column_names.index(name)
        scale = np.repeat(4.0 ** table["jet_label"].to_numpy(), table["jet_nparticles"].to_numpy())
        lists = table[name].combine_chunks()
        values = (lists.flatten().to_numpy() * scale).astype(np.float32)
        table = table.set_column(i, name, type(lists).from_arrays(lists.offsets, values))
    return table


@pytest.mark.long
def test_jets_of_ones_own_are_pretrained_on_and_classified(tmp_path, make_jets):
    def write(role, n, seed, classes):
        table = separable(make_jets, n, range(len(classes)), seed)
        corpus = "-".join(classes)
        write_shards(tmp_path / role, [table], corpus=corpus, role=role, classes=classes)
        return str(tmp_path / role)

    task = ("background", "signal")
    source = Folders(
        train=write("train", 100, 1, task),
        validation=write("validation", 60, 2, task),
        test=write("test", 220, 3, task),
        pretrain={"mysim": write("pretrain", 320, 4, ("low", "mid", "high"))},
    )
    mixture = Mixture(name="sim", parts={"mysim": 1.0})
    job, records = train(make(source, mixture, pretraining_epochs=8), tmp_path)
    stream = open_stream(job.streams["pretrain-sim"])
    assert stream.labels == ("low", "mid", "high")
    assert stream.recipe["sources"]["mysim"]["corpus"] == "low-mid-high"
    assert len(records) == 8 + 2
    loss = mean_losses(records)
    assert loss["sim"] < loss["scratch"] < np.log(2)
    scores = next(record.scores for record in records if record.kind == "finetune")
    assert scores["auc"] > 0.5


@pytest.mark.long
def test_stars_go_the_same_way(tmp_path):
    source = Declared(
        downstream=stars.corpus("catalogue", simulate=stars.two_numbers),
        pretraining=(stars.corpus("curves"),),
        train_examples=100,
    )
    mixture = Mixture(name="near", parts={"curves": 1.0})
    study = make(source, mixture, features="all")
    job, records = train(study, tmp_path)
    stream = open_stream(job.streams["pretrain-near"])
    assert stream.features == ("time", "flux")
    assert stream.labels == stars.KINDS
    jets = stream.read()
    assert 3 <= jets.lengths.min() <= jets.lengths.max() == 8  # cut to the recipe's
    assert np.abs(jets.values).max() <= 5
    loss = mean_losses(records)
    assert loss["near"] < loss["scratch"] < np.log(3)
    with pytest.raises(StudyError, match=r"'own' is about stars; .* `measure` is for jets alone"):
        check_measurable(study, 300)


@pytest.mark.slow
def test_the_same_shards_are_read_as_folders_by_who_lacks_the_simulator(tmp_path):
    corpus = stars.corpus()
    parts = {}
    for i, role in enumerate(("train", "validation", "test", "pretrain")):
        parts[role] = str(tmp_path / role)
        tables = corpus.make(stars.KINDS, 600, i)
        write_shards(
            tmp_path / role,
            tables,
            corpus="stars",
            role=role,
            classes=corpus.classes,
            schema=corpus.schema,
        )
    assert open_shards(tmp_path / "train").schema != JETS
    source = Folders(
        **{r: parts[r] for r in parts if r != "pretrain"}, pretrain={"stars": parts["pretrain"]}
    )
    study = make(source, Mixture(name="m", parts={"stars:c*,f*": 1.0}), features="all", epochs=1)
    study = replace(study, data_sizes=(40,), seeds=(1,))
    assert study.noun == "star"
    _, records = train(study, tmp_path)
    assert sorted(record.kind for record in records) == ["finetune", "finetune", "pretrain"]
