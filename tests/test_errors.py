import pickle

from jetscale import errors


def test_every_error_is_a_jetscale_error():
    leaves = [
        v
        for v in vars(errors).values()
        if isinstance(v, type) and v.__module__ == errors.__name__ and v is not errors.Failure
    ]
    assert len(leaves) >= 9
    assert all(issubclass(leaf, errors.JetscaleError) for leaf in leaves)


def test_unknown_names_the_nearest_in_any_case():
    text = errors.unknown("mixture", "QCD+bms", ["scratch", "qcd", "qcd+bsm"])
    assert "did you mean 'qcd+bsm'?" in text
    assert text.endswith("known: scratch, qcd, qcd+bsm")


def test_unknown_without_a_near_name_lists_all():
    assert "did you mean" not in errors.unknown("class", "xyzzy", ["Hbb", "Hcc"])


def test_unknown_among_many_names_only_the_nearest():
    text = errors.unknown("class", "X_bbb", [f"X_{i}" for i in range(99)] + ["X_bb"])
    assert text == "unknown class 'X_bbb'; did you mean 'X_bb'? 100 are known"


def test_missing_extra_says_what_to_install():
    error = errors.MissingExtra("fastjet", "simulate")
    assert "pip install 'jetscale[simulate]'" in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_failure_is_a_value_of_one_line():
    failure = errors.Failure.of(errors.TrainingError("loss is nan\n  at step 4"))
    assert failure == errors.Failure(kind="TrainingError", reason="loss is nan at step 4")
    assert len(errors.Failure.of(ValueError("x" * 9999)).reason) == 500
