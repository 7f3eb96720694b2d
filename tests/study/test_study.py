from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetscale.digests import digest
from jetscale.errors import DataError, StudyError
from jetscale.jets.generator.conditions import Conditions
from jetscale.study import Controls, Data, Folders, Mixture, Model, ModelSize, Simulated, Study


def make(**changes):
    values = {
        "name": "tiny",
        "source": Simulated(train_jets=100),
        "mixtures": (Mixture(name="scratch"), Mixture(name="qcd", parts={"qcd": 1})),
        "ladder": (ModelSize(width=8, layers=1, heads=1),),
        "data_sizes": (20, 40),
        "seeds": (1, 2, 3),
        "controls": Controls(pretraining_jets=50, validation_jets=10, test_jets=10),
    }
    return Study(**(values | changes))


def test_weights_are_normalised_and_labels_follow_the_corpus():
    mixture = Mixture(name="both", parts={"res2p": 3, "qcd": 1})
    assert mixture.parts == {"qcd": 0.25, "res2p": 0.75}
    labels = make(mixtures=(mixture,)).labels(mixture)
    assert labels[0] == "X_bb"
    assert labels[-1] == "QCD_light"
    assert len(labels) == 15 + 27
    assert not mixture.is_scratch
    assert Mixture(name="scratch").is_scratch


@given(st.dictionaries(st.sampled_from(["qcd", "res2p", "res34p"]), st.floats(1e-3, 1e3)))
def test_shares_sum_to_one_whatever_the_weights(parts):
    shares = Mixture(name="m", parts=parts).parts
    assert sum(shares.values()) == pytest.approx(1.0 if parts else 0.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data_sizes": (20, 200)}, r"pool of 100; raise source.train_jets or drop"),
        ({"data_sizes": (20, 20)}, r"data size 20 is listed twice"),
        ({"data_sizes": (0,)}, r"a data size is 0, needs a whole number above zero"),
        ({"seeds": ()}, r"needs at least one seed"),
        ({"seeds": 1}, r"seeds is 1, needs several values, as in \(1,\)"),
        ({"name": "streams"}, r"'streams': that name is a folder of its own"),
        ({"source": "simulated"}, r"source must be a Simulated or Declared or Folders"),
        ({"mixtures": ("qcd",)}, r"mixtures must be values of type Mixture"),
        ({"seeds": (1, 1)}, r"seed 1 is listed twice"),
        ({"name": "no spaces"}, r"study name 'no spaces'"),
        ({"mixtures": (Mixture(name="a"), Mixture(name="a"))}, r"mixture 'a' is listed twice"),
        ({"subsets": 0}, r"subsets is 0"),
    ],
)
def test_a_study_that_cannot_mean_what_it_says(change, message):
    with pytest.raises(StudyError, match=message):
        make(**change)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: make(mixtures=(Mixture(name="m", parts={"qdc": 1}),)),
            r"mixture 'm': unknown part or label 'qdc'; did you mean 'qcd'",
        ),
        (lambda: Mixture(name="m", parts={"qcd": 0}), r"weight of 'qcd' is 0"),
        (lambda: ModelSize(width=10, layers=1, heads=3), r"width 10 is not a multiple of 3"),
        (lambda: ModelSize(width=10, layers=0, heads=2), r"layers is 0"),
        (lambda: make(controls=make().recipe.change(features="kinpdi")), r"did you mean 'kinpid'"),
        (lambda: make().recipe.change(learning_rate=-1.0), r"learning_rate is -1.0"),
        (lambda: make().recipe.change(warmup=1.0), r"warmup is 1.0"),
        (lambda: make().recipe.change(clip=float("inf")), r"clip is inf, needs a finite"),
        (lambda: make().recipe.change(width_exponent=float("nan")), r"width_exponent is nan"),
        (lambda: make().recipe.change(beta1="0.9"), r"beta1 is '0.9', needs a finite"),
        (lambda: Mixture(name="m", parts={"qcd": float("inf")}), r"weight of 'qcd' is inf"),
        (lambda: make().recipe.change(batch_size=2.5), r"batch_size is 2.5"),
        (lambda: Folders(train="a", validation="b", test="a"), r"a is used as train and as test"),
    ],
)
def test_parts_of_a_study_are_checked_when_made(build, message):
    with pytest.raises(StudyError, match=message):
        build()


def test_a_mixture_needs_a_folder_for_each_part():
    source = Folders(train="a", validation="b", test="c", pretrain={"res2p": "d"})
    with pytest.raises(StudyError, match=r"mixture 'qcd': part 'qcd' has no folder"):
        make(source=source)


def test_a_part_can_be_any_set_of_labels():
    mixture = Mixture(name="m", parts={"X_cc , X_bb": 1, "QCD_b*": 1})
    assert set(mixture.parts) == {"X_bb,X_cc", "QCD_b*"}
    study = make(mixtures=(mixture,))
    assert study.labels(mixture)[:3] == ("X_bb", "X_cc", "QCD_bbccss")
    assert len(study.labels(mixture)) == 2 + 18
    assert study.parts(mixture)["X_bb,X_cc"].labels == ("X_bb", "X_cc")
    with pytest.raises(StudyError, match=r"parts 'X_bb' and 'res2p' share \['X_bb'\]"):
        make(mixtures=(Mixture(name="m", parts={"X_bb": 1, "res2p": 1}),))


def test_one_label_is_no_task():
    """A pattern that matched one label was pretrained on in silence: a loss of zero from step 1."""
    guess = Mixture(name="tops-like", parts={"X_YY_*b*qq": 1})
    with pytest.raises(
        StudyError,
        match=r"'tops-like': its parts hold \{'X_YY_bbqq'\} alone, so there is nothing to tell",
    ):
        make(mixtures=(guess,))
    blind = make().recipe.change(objective="fixtures.stars:BLIND")
    assert make(mixtures=(guess,), controls=blind).labels(guess) == ("X_YY_bbqq",)
    two = Mixture(name="two", parts={"X_bb": 1, "X_cc": 1})
    assert make(mixtures=(two,)).labels(two) == ("X_bb", "X_cc")


def test_a_selection_of_labels_is_found_in_a_larger_folder():
    folders = Folders(
        train="a", validation="b", test="c", pretrain={"res2p": "d", "X_bb,X_cc": "e"}
    )
    assert Path(folders.folder_of("X_bb,X_cc")).name == "e"
    assert Path(folders.folder_of("X_gg")).name == "d"
    with pytest.raises(StudyError, match=r"part 'QCD_b' has no folder in source\.pretrain"):
        folders.folder_of("QCD_b")


def test_budgets_of_pretraining():
    controls = Controls(pretraining_jets=50, validation_jets=10, test_jets=10)
    assert controls.data.pretraining_pool == 50
    assert controls.change(pretraining_budget="flops").data.pretraining_pool == 100
    with pytest.raises(StudyError, match="unknown pretraining_budget 'flop'; did you mean 'flops'"):
        controls.change(pretraining_budget="flop")
    with pytest.raises(StudyError, match="scale_pt is 0"):
        controls.change(scale_pt=0)


def test_seeds_are_dealt_to_subsets():
    assert list(make(subsets=2).replicates()) == [(1, 0), (2, 1), (3, 0)]


def test_numbers_of_numpy_become_plain_ones():
    study = make(data_sizes=np.array([20, 40]), seeds=(np.int64(1),))
    assert [type(value) for value in (*study.data_sizes, *study.seeds)] == [int] * 3
    controls = study.recipe.change(learning_rate=np.float32(0.5), epochs=np.int32(3))
    assert controls.to_dict() == study.recipe.change(learning_rate=0.5, epochs=3).to_dict()
    assert digest(controls.to_dict())


def test_digest_depends_on_values_not_on_order():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    assert len(digest([])) == 16


def test_conditions_of_simulated_jets():
    source = Simulated(train_jets=100, pretraining=Conditions(window="jetclass2", pileup=50))
    assert source.downstream == Conditions()
    with pytest.raises(StudyError, match="downstream window is 'jetclass2'"):
        Simulated(train_jets=100, downstream=Conditions(window="jetclass2"))
    with pytest.raises(StudyError, match="pretraining must be Conditions"):
        Simulated(train_jets=100, pretraining="jetclass2")


def test_one_part_has_one_weight():
    with pytest.raises(StudyError, match="'X_bb,X_cc' and 'X_cc, X_bb' are the same"):
        Mixture(name="m", parts={"X_bb,X_cc": 1, "X_cc, X_bb": 3, "qcd": 1})
    with pytest.raises(StudyError, match="'res2p' is a part of its own"):
        make(mixtures=(Mixture(name="m", parts={"res2p,QCD_b": 1}),))
    assert Mixture(name="m", parts={" qcd": 1}).parts == {"qcd": 1.0}


def test_the_smallest_folder_that_holds_a_part_is_its_folder():
    folders = {"res2p": "A", "X_cc , X_bb": "B", "X_bb,X_cc,X_ss": "C"}
    source = Folders(train="a", validation="b", test="c", pretrain=folders)
    assert Path(source.folder_of("X_bb,X_cc")).name == "B"
    assert Path(source.folder_of("X_ss")).name == "C"
    assert Path(source.folder_of("X_gg")).name == "A"
    with pytest.raises(StudyError, match="are the same; keep one"):
        replace(source, pretrain=folders | {"X_bb,X_cc": "D"})


def test_a_simulated_part_is_of_one_family():
    both = Mixture(name="m", parts={"X_bb,QCD_b": 1})
    with pytest.raises(DataError, match="give each a part of its own"):
        make(mixtures=(both,))
    source = Folders(train="a", validation="b", test="c", pretrain={"X_bb,QCD_b": "d"})
    assert make(mixtures=(both,), source=source).mixtures == (both,)


def test_equal_conditions_have_equal_digests():
    values = [Conditions(pileup=value) for value in (20, 20.0, np.int64(20))]
    assert len({digest(asdict(value)) for value in values}) == 1
    for bad in (True, "20", None):
        with pytest.raises(DataError, match="needs a number"):
            Conditions(pileup=bad)


@pytest.mark.parametrize("bad", [None, 3, ["a"]])
def test_a_name_in_a_recipe_is_a_text(bad):
    for name in ("architecture", "objective"):
        with pytest.raises(StudyError, match=f"recipe.model: {name} is .*, needs a text"):
            Model(**{name: bad})
    for name in ("features", "pretraining_budget"):
        with pytest.raises(StudyError, match=f"recipe.data: {name} is .*, needs a text"):
            Data(pretraining_jets=3, **{name: bad})
    with pytest.raises(StudyError, match=r"recipe: precision is .*, needs a text"):
        replace(make().recipe, precision=bad)
    with pytest.raises(StudyError, match=r"mixture 'm': parts are .*, needs names of parts"):
        Mixture(name="m", parts=bad)
    with pytest.raises(StudyError, match=r"folders: train is .*, needs a path"):
        Folders(train=bad, validation="v", test="t")


def test_numbers_that_are_equal_have_equal_digests():
    a, b = (replace(make().recipe.optimiser, width_exponent=zero) for zero in (0.0, -0.0))
    assert digest(asdict(a)) == digest(asdict(b))
    with pytest.raises(StudyError, match=r"pretraining_jets is array.*needs a whole number"):
        Data(pretraining_jets=np.array([1, 2]))
