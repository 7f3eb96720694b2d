"""What the report claims: sentences, flags and thresholds, without any page."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest

from jetscale.analysis import analyse
from jetscale.report import decisions
from jetscale.report.decisions import Finding
from jetscale.scaling import DataFactor, Estimate, Options, Verdict
from jetscale.words import counted, number

pytestmark = pytest.mark.slow

SURE = Estimate(value=0.1, low=0.05, high=0.15)
LOOSE = Estimate(value=0.1, low=-1, high=1, reason="alpha is not identified")


@pytest.fixture(scope="module")
def results(study):
    return analyse(study, Options(replicates=50))


@pytest.fixture(scope="module")
def loose(vague):
    return analyse(vague, Options(replicates=50))


def factor(value, bound="", low=0.0, high=math.inf):
    ends = {"value": value, "low": low, "high": high}
    return DataFactor(**ends, bound=bound, n_sizes=4, n_censored=bool(bound))


# The answer


@pytest.mark.long
def test_every_mixture_is_measured_against_the_baseline(results):
    text = results.measured_sentence
    assert text.startswith("Measured against scratch: qcd has the lower test loss in ")
    assert "; qcd+bsm has the lower test loss in 40 of 40 pairs of runs" in text
    for pair in results.paired.pairs[:2]:
        difference = pair.overall.difference
        shown = f"{difference.value:.3f}".replace("-", "−")
        assert f"by a mean difference of {shown} [" in text
    assert "over 4 model sizes, worth " in text
    assert text.count("times the data at D = 10k") == 2


def test_nothing_in_common_is_said(results):
    alone = replace(results, paired=replace(results.paired, pairs=()))
    assert alone.measured_sentence == ("No mixture has runs in common with the baseline scratch.")
    without = replace(results, paired=None, missing={"paired": "one mixture"})
    assert without.measured_sentence == "Nothing is compared: one mixture."


@pytest.mark.parametrize(
    ("value", "bound", "says"),
    [
        (0.9, "", True),
        (1.5, ">", True),
        (0.94, ">", False),  # at least .94 times: it may help or harm
        (0.5, "<", True),
        (1.2, "<", False),
        (3.0, "<>", False),
    ],
)
def test_limits_that_exclude_nothing_are_no_answer(value, bound, says, results):
    assert factor(value, bound).informative is says
    pair = results.paired.pairs[0]
    rows = tuple(replace(row, data_factor=factor(value, bound)) for row in pair.by_examples)
    one = replace(results.paired, pairs=(replace(pair, by_examples=rows),))
    assert ("worth" in replace(results, paired=one).measured_sentence) is says


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (factor(2.0, "", 1.5, 2.5), "2.0 [1.5, 2.5]"),
        (factor(2.0, ">"), "at least 2.0"),
        (factor(0.5, "<"), "at most 0.50"),
        (factor(2.0, "<>"), "limits only: about 2.0"),
    ],
)
def test_factors_are_said_with_what_is_known(found, text):
    assert found.text == text


def test_identified_exponents_are_compared(results):
    text = results.law_sentence
    assert text.startswith("Exponent a of the best model size N* ∝ C^a: qcd minus scratch is ")
    for pair in results.comparison.pairs[:2]:
        assert f"{pair.verdict.text} (p = " in text
    assert "qcd+bsm minus qcd" not in text  # pairs with the baseline answer the question


def test_without_the_baseline_all_pairs_answer(results):
    others = tuple(pair for pair in results.comparison.pairs if "scratch" not in (pair.a, pair.b))
    found = replace(results, comparison=replace(results.comparison, pairs=others))
    assert "qcd+bsm minus qcd is" in found.law_sentence


def test_the_verdict_decides_what_is_said(results):
    first, second = results.comparison.pairs[:2]
    pairs = (
        replace(first, delta_params_exponent=LOOSE, verdict=Verdict.NOT_IDENTIFIED),
        replace(second, delta_params_exponent=SURE, verdict=Verdict.DEPENDS_ON_FLOOR),
    )
    found = replace(results, comparison=replace(results.comparison, pairs=pairs))
    text = found.law_sentence
    assert "qcd against scratch not identified at this scale" in text
    assert "qcd+bsm minus scratch is 0.100 [0.0500, 0.150], no shift claimed: depends on" in text


@pytest.mark.long
def test_no_difference_is_read_off_what_is_not_identified(loose):
    text = loose.law_sentence
    assert text.startswith("Whether the mixtures differ in how the best model and data size grow")
    assert "not identified at this scale (" in text
    reasons = text.split("(")[1].split(")")[0].split("; ")
    assert len(set(reasons)) == len(reasons)


@pytest.mark.long
def test_one_mixture_has_an_exponent_but_no_comparison(study, vague):
    one = analyse(study[study["mixture"] == "qcd"], Options(replicates=50))
    assert one.law_sentence.startswith("The compute-optimal balance: qcd N* ∝ C^0.")
    one = analyse(vague[vague["mixture"] == "qcd"], Options(replicates=50))
    expected = "The compute-optimal balance: qcd not identified at this scale."
    assert one.law_sentence == expected


def test_without_a_fit_the_reason_is_the_answer(results):
    none = replace(results, fits=None, missing={"fits": "too few sizes"})
    assert none.law_sentence == "No scaling law is fitted: too few sizes."


@pytest.mark.parametrize(("n", "text"), [(0, "0 cells"), (1, "1 cell"), (2, "2 cells")])
def test_counts_agree_with_their_noun(n, text):
    assert counted(n, "cell") == text


def test_the_facts_count_what_is_in_the_table(results):
    assert decisions.facts(results) == (
        "120 runs: 3 mixtures, 20 cells (N 10k to 1M, D 10k to 1M), 2 seeds"
    )


# Trust


def test_a_forecast_warns_where_too_few_cells_are_inside(results):
    one = results.diagnostics.mixtures["qcd"]
    made = one.forecasts[0]
    n = len(made.cells)
    for inside, warns in ((n, False), (n - 1, n < 2), (0, True)):
        changed = replace(one, forecasts=(replace(made, inside=inside),))
        first = next(iter(decisions.trust_checks(changed)))
        assert (first.name, first.warns) == ("forecast", warns), inside
    excused = replace(one, forecasts=(replace(made, reason="not determined"),))
    assert next(iter(decisions.trust_checks(excused))).warns


def test_residuals_and_influence_warn_by_their_own_measure(results):
    one = results.diagnostics.mixtures["qcd"]
    for p_value, flagged in ((0.04, True), (0.06, False)):
        changed = replace(
            one,
            residuals=replace(one.residuals, p_value=p_value),
            influence=replace(one.influence, flagged=flagged),
        )
        found = {check.name: check for check in decisions.trust_checks(changed)}
        assert found["residuals"].warns is flagged
        assert found["influence"].warns is flagged
        assert found["residuals"].text == changed.residuals.text


@pytest.mark.parametrize(
    ("low", "high", "tail"),
    [
        (False, False, ""),
        (True, False, ", open below"),
        (False, True, ", open above"),
        (True, True, ", open below and above"),
    ],
)
def test_a_profile_says_on_which_side_it_is_open(results, low, high, tail):
    one = results.diagnostics.mixtures["qcd"]
    alpha = replace(one.profiles["alpha"], open_low=low, open_high=high)
    *_, check = decisions.trust_checks(replace(one, profiles={"alpha": alpha}))
    assert check.text.startswith("alpha 0.4")
    assert check.text.endswith("]" + tail)
    assert check.warns is bool(tail)


def test_a_window_is_judged_only_where_both_exponents_are_identified(results):
    window = replace(
        results.diagnostics.mixtures["qcd"].windows[0],
        params_exponent=SURE,
        shift=0.25,
        significant=True,
    )
    shift = decisions.window_shift
    assert shift(window, True) == Finding(window.left_out, "+0.250, beyond chance", warns=True)
    quiet = replace(window, significant=False)
    assert shift(quiet, True).text == "+0.250"
    assert shift(quiet, False).text == "+0.250, not judged"
    assert shift(replace(quiet, params_exponent=LOOSE), True).text == "+0.250, not judged"
    assert shift(replace(quiet, params_exponent=None), True) == Finding(window.left_out, "–")


# Budgets


def test_loose_frontiers_are_named(results, loose):
    assert decisions.loose_frontiers(results.fits) == []
    assert decisions.loose_frontiers(loose.fits) == ["scratch", "qcd"]


def test_a_mixture_is_the_best_only_where_all_laws_are_identified(results, loose):
    assert decisions.may_choose(results.allocations)
    assert not decisions.may_choose(loose.allocations)
    found = decisions.choice(results.allocations)
    assert "share of bootstrap replicates" in found.text
    assert not found.warns
    found = decisions.choice(loose.allocations)
    assert found.text.startswith("The runs do not determine the law of scratch, qcd, nor which")
    assert found.text.endswith("compare the measured cells.")
    assert found.warns


def test_one_loose_budget_takes_the_crown_from_all(results):
    first, *others = results.allocations
    qcd = replace(first.mixtures["qcd"], loss=LOOSE)
    changed = replace(first, mixtures={**first.mixtures, "qcd": qcd})
    assert not decisions.may_choose([changed, *others])
    assert "law of qcd, nor which" in decisions.choice([changed, *others]).text


def test_replicates_that_are_not_paired_are_said_to_be(results):
    apart = [replace(answer, paired=False) for answer in results.allocations]
    assert decisions.choice(apart).text.endswith(
        "resampled independently as their cells differ; a mixture is called the best from 95%."
    )


def test_one_mixture_is_no_choice(study):
    alone = analyse(
        study[study["mixture"] == "qcd"], Options(replicates=50), budgets=[1e9]
    ).allocations
    assert not decisions.may_choose(alone)
    assert decisions.choice(alone) is None


def test_warnings_about_answers_are_each_said_once_and_general_ones_first(results):
    first, second = results.allocations[:2]
    answers = [
        replace(
            answer,
            not_fitted={"tau": "has 2 sizes"},
            warnings=("general",),
            mixtures={"qcd": replace(answer.mixtures["qcd"], warnings=("far", "far"))},
        )
        for answer in (first, second)
    ]
    lines = decisions.allocation_warnings(answers)
    assert lines[:2] == ["tau: not fitted: it has 2 sizes", "general"]
    budgets = ", ".join(number(answer.budget_flops) for answer in answers)
    assert lines[2:] == [f"{budgets} FLOPs: far"]


def test_what_a_star_says_is_no_warning(loose):
    assert any(
        "not identified" in line
        for m in loose.allocations[0].mixtures.values()
        for line in m.warnings
    )
    assert not any(
        "not identified" in line for line in decisions.allocation_warnings(loose.allocations)
    )


def test_a_fit_is_trusted_unless_a_check_warns():
    good, bad = decisions.Finding("forecast", "x"), decisions.Finding("residuals", "y", warns=True)
    assert decisions.trusted([good]) == decisions.Finding("verdict", "nothing speaks against it")
    found = decisions.trusted([good, bad, bad])
    assert (found.text, found.warns) == ("beware: residuals", True)


def test_a_convention_that_gives_the_same_changes_nothing():
    own = SimpleNamespace(params_exponent=SURE, budget=1e9)
    assert decisions.changes_nothing(SimpleNamespace(params_exponent=SURE, budget=1e9), own)
    assert not decisions.changes_nothing(SimpleNamespace(params_exponent=SURE, budget=2e9), own)
    assert not decisions.changes_nothing(SimpleNamespace(params_exponent=LOOSE, budget=1e9), own)


@pytest.mark.parametrize(
    ("flops", "text"),
    [
        (1e9, ""),
        (5e9, ""),
        (1e10, ""),
        (1e12, "extrapolated by 2.0 decades beyond the measured compute"),
        (1e8, "extrapolated by 1.0 decades below the measured compute"),
    ],
)
def test_extrapolation_is_told_in_decades(flops, text):
    assert decisions.extrapolation(flops, 1e9, 1e10) == text


# Checklist


def test_what_moves_and_what_is_left_out_is_in_the_checklist(results):
    one = results.diagnostics.mixtures["qcd"]
    windows = tuple(replace(w, significant=i == 0) for i, w in enumerate(one.windows))
    mixtures = {"qcd": replace(one, windows=windows)}
    found = replace(
        results,
        diagnostics=replace(results.diagnostics, mixtures=mixtures),
        fits=replace(results.fits, not_fitted={"tau": "has 2 sizes"}),
    )
    items = {item.name: item.text for item in decisions.checklist(found, None)}
    assert items["window scan"] == f"a moves for qcd without {windows[0].left_out}"
    assert items["runs left out of the fits"] == "tau, which has 2 sizes"


def test_every_item_is_asked_once(results):
    names = [item.name for item in decisions.checklist(results, {"epochs": 4})]
    assert len(set(names)) == len(names) == 23
    assert names[0] == "form"
