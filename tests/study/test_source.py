"""What parts, classes and examples a study has, by where its examples come from."""

from dataclasses import replace

import pyarrow as pa
import pytest
from fixtures import stars

from jetscale.errors import DataError, StudyError
from jetscale.jets.example import Feature, make_schema
from jetscale.jets.schema import JETS, PARTS
from jetscale.jets.shards import write_shards
from jetscale.mixtures.inputs import given_folders
from jetscale.study import Controls, Declared, Folders, Mixture, ModelSize, Study

RECIPE = Controls(pretraining_jets=20, validation_jets=10, test_jets=10, constituents=9)


def make(source, *mixtures, **changes):
    recipe = changes.pop("recipe", RECIPE)
    return Study(
        name="own",
        source=source,
        mixtures=mixtures,
        ladder=(ModelSize(width=8, layers=1, heads=1),),
        data_sizes=(10, 20),
        seeds=(1,),
        recipe=recipe.change(**changes),
    )


def mixture(*parts):
    return Mixture(name="m", parts=dict.fromkeys(parts, 1.0))


@pytest.fixture
def folders(tmp_path, make_jets):
    """Jets of two classes for a task of one's own, and folders for pretraining."""

    def write(name, role, labels, seed, **corpus):
        write_shards(tmp_path / name, [make_jets(40, labels, seed)], role=role, **corpus)
        return str(tmp_path / name)

    own = {"corpus": "mysim", "classes": ("background", "signal")}
    return Folders(
        **{
            role: write(role, role, range(2), i, **own)
            for i, role in enumerate(("train", "validation", "test"))
        },
        pretrain={
            "mysim": write("mysim", "pretrain", range(3), 5, corpus="sim", classes=("a", "b", "c")),
            "again": write("again", "pretrain", range(2), 6, corpus="sim", classes=("a", "b", "c")),
            "aspen": write("aspen", "pretrain", [0], 7, corpus="unlabelled"),
            "qcd": write("qcd", "pretrain", range(161, 188), 8, corpus="jetclass2"),
        },
    )


def test_the_task_is_what_the_manifest_says(folders):
    study = make(folders, Mixture(name="scratch"))
    assert study.classes == ("background", "signal")
    assert (study.schema, study.noun) == (JETS, "jet")
    assert sorted(given_folders(study, folders)) == ["test", "train", "validation"]


def test_any_folder_is_a_part(folders):
    mixed = mixture("mysim:c,a", "again", "qcd")
    study = make(folders, mixed)
    parts = study.parts(mixed)
    assert {name: part.labels for name, part in parts.items()} == {
        "qcd": PARTS["qcd"].labels,
        "again": ("a", "b"),  # those that are there
        "mysim:a,c": ("a", "c"),
    }
    # equal names in two folders of a user's own are one class
    assert study.labels(mixed) == (*PARTS["qcd"].labels, "a", "b", "c")
    given = given_folders(study, folders)
    assert given["pretrain-mysim:a,c"].name == "mysim"


def test_parts_of_one_folder_share_no_label(folders):
    both = mixture("mysim", "mysim:a")
    study = make(folders, both)
    with pytest.raises(StudyError, match=r"parts 'mysim' and 'mysim:a' share \['a'\]"):
        study.parts(both)


def test_unlabelled_jets_are_for_objectives_without_labels(folders):
    aspen = mixture("aspen")
    with pytest.raises(StudyError, match=r"'aspen' has no labels, .* objective that needs none"):
        make(folders, aspen).labels(aspen)
    both = mixture("aspen", "mysim")
    study = make(folders, both)
    with pytest.raises(StudyError, match="part 'aspen' has no labels"):
        study.parts(both)
    assert make(folders, aspen, objective="fixtures.stars:BLIND").labels(aspen) == ("unlabelled",)
    downstream = replace(folders, train=folders.pretrain["qcd"], pretrain={})
    with pytest.raises(DataError, match="role is 'pretrain', needs 'train'"):
        _ = make(downstream, Mixture(name="scratch")).classes


def test_a_task_of_one_class_is_refused(folders, tmp_path, make_jets):
    jets = [make_jets(30, [0])]
    write_shards(tmp_path / "one", jets, corpus="lonely", role="train", classes=("only",))
    source = replace(folders, train=str(tmp_path / "one"))
    with pytest.raises(StudyError, match="downstream jets have one class, 'only'"):
        _ = make(source, Mixture(name="scratch")).classes


def test_the_folders_of_a_plan_tell_what_is_wrong_with_a_mixture(folders):
    for part, message in (("mysim:d", "unknown part or label 'd'"), ("mysim:a", "{'a'} alone")):
        study = make(folders, mixture(part))
        with pytest.raises(StudyError, match=f"study 'own': mixture 'm': .*{message}"):
            given_folders(study, folders)


def test_the_three_roles_are_one_task(folders, tmp_path, make_jets):
    jets = [make_jets(30, range(2), 9)]
    write_shards(
        tmp_path / "t", jets, corpus="mysim", role="test", classes=("signal", "background")
    )
    source = replace(folders, test=str(tmp_path / "t"))
    with pytest.raises(DataError, match=r"t and .*train differ in classes: .* must be one task"):
        source.open("test")
    with pytest.raises(DataError, match="corpus is 'mysim', needs 'jetclass'"):
        replace(folders, corpus="jetclass").open("train")


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("mysm", "mixture 'm': unknown part or label 'mysm'; did you mean 'mysim'"),
        ("mysm:a", "unknown part or label 'mysm:a'"),
        ("X_bb", "part 'X_bb' has no folder"),
        ("mysim:d", "unknown part or label 'd'; known: a, b, c"),
    ],
)
def test_parts_that_are_not_there(folders, part, message):
    chosen = mixture(part, "QCD_b,QCD_c")
    with pytest.raises(StudyError, match=message):
        make(folders, chosen).parts(chosen)


def test_a_part_of_jetclass2_is_not_taken_from_another_corpus(folders):
    source = replace(folders, pretrain={"res2p": folders.pretrain["mysim"]})
    study = make(source, mixture("res2p"))
    with pytest.raises(DataError, match="corpus is 'sim', part 'res2p' needs 'jetclass2'; use an"):
        given_folders(study, source)


def test_folders_that_lack_examples_or_features(folders, tmp_path, make_jets):
    few = make(folders, mixture("mysim:a,b"), pretraining_jets=39)
    with pytest.raises(DataError, match=r"takes 39 mysim:a,b jets, .*mysim has \d+; lower"):
        given_folders(few, folders)
    schema = make_schema(noun="star", features=(Feature(name="flux"),))
    table = pa.table({"flux": [[1.0]] * 30, "label": [0, 1] * 15})
    other = {"corpus": "stars", "classes": ("x", "y"), "schema": schema}
    write_shards(tmp_path / "stars", [table], role="pretrain", **other)
    source = replace(folders, pretrain={"stars": str(tmp_path / "stars")})
    with pytest.raises(DataError, match="stars holds stars with other features than the training"):
        given_folders(make(source, mixture("stars")), source)


DECLARED = Declared(
    downstream=stars.corpus("catalogue", simulate=stars.two_numbers),
    pretraining=(stars.corpus("curves"), stars.corpus("more")),
    train_examples=30,
)


def test_a_declared_corpus_is_a_part_and_a_task():
    mixed = mixture("curves: flare,c*", "more")
    study = make(DECLARED, mixed, features="all")
    assert study.classes == stars.KINDS
    assert study.noun == "star"
    assert [feature.name for feature in study.features] == ["time", "flux"]
    assert study.parts(mixed)["curves:c*,flare"].labels == ("cepheid", "flare")
    assert study.labels(mixed) == ("cepheid", "flare", "eclipsing")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: make(DECLARED, mixture("qcd"), features="all"), "unknown part 'qcd'; known: cur"),
        (lambda: make(DECLARED, mixture("curve"), features="all"), "did you mean 'curves'"),
        (
            lambda: make(DECLARED, mixture("curves:flare"), features="all"),
            r"its parts hold \{'flare'\} alone",
        ),
        (lambda: make(DECLARED, mixture("curves")), "unknown feature set 'kinpid'; known: all"),
        (
            lambda: make(DECLARED, mixture("curves"), features="all", scale_pt=500),
            "scale_pt is for jets, a star has no pT",
        ),
        (
            lambda: make(replace(DECLARED, train_examples=15), mixture("curves"), features="all"),
            "data size 20 is larger than the training pool of 15; raise source.train_examples or",
        ),
        (lambda: replace(DECLARED, train_examples=0), "train_examples is 0"),
        (lambda: replace(DECLARED, pretraining=("curves",)), "'curves' is not a Corpus"),
        (
            lambda: replace(DECLARED, pretraining=(stars.corpus("a"), stars.corpus("a"))),
            "corpus 'a' is listed twice",
        ),
        (
            lambda: replace(DECLARED, pretraining=(stars.corpus("a", noun="planet"),)),
            "corpus 'a' has another noun or other features than 'catalogue'",
        ),
    ],
)
def test_a_declared_source_that_cannot_be(build, message):
    with pytest.raises(StudyError, match=message):
        build()
