"""The analysis commands on a run table: contract of the JSON, tables that fit, one-line errors."""

import json
import re
import shlex

import numpy as np
import pandas as pd
import pytest

from jetscale.cli import main


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two mixtures with a known law, 1% noise and two seeds; the second has lower losses."""
    rng = np.random.default_rng(3)
    rows = [
        {
            "mixture": name,
            "params": n,
            "examples": d,
            "seed": seed,
            "loss": (0.5 + scale * (40 / n**0.5 + 30 / d**0.4)) * rng.lognormal(0, 0.01),
        }
        for name, scale in (("scratch", 1.0), ("pretrained", 0.8))
        for n in (1e3, 4e3, 1.6e4, 6.4e4)
        for d in (1e3, 4e3, 1.6e4, 6.4e4, 2.56e5)
        for seed in (1, 2)
    ]
    path = tmp_path_factory.mktemp("runs") / "runs.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def call(capsys, command, *arguments):
    """What a command says, all of it where it says less by default."""
    full = command in ("fit", "allocate") and not {"--json", "--help"} & set(arguments)
    return short(capsys, command, *arguments, *(["--full"] if full else []))


def short(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


def estimates(value):
    return {"value", "low", "high"} <= value.keys() and value["low"] < value["value"] < value[
        "high"
    ]


@pytest.mark.slow
def test_the_answers_fit_a_screen_and_name_what_says_more(capsys, runs):
    code, out, err = short(capsys, "fit", "--runs", runs, "--noun", "token")
    assert code == 0, err
    lines = out.splitlines()
    assert len(lines) <= 30
    assert max(map(len, lines[: lines.index("Next")])) <= 80
    assert [line[:2] for line in lines if line[:1].isdigit()] == ["1.", "2.", "3."]
    assert (
        lines[0] == "1. What does pretraining buy?   (loss against scratch; x: tokens it is worth)"
    )
    assert "pretrained is better than scratch at every data size" in " ".join(out.split())
    assert f"jetscale fit --runs {runs} --noun token --full" in out
    assert "Huber" not in out
    plain = json.loads(short(capsys, "fit", "--runs", runs, "--noun", "token", "--json")[1])
    for one in ("bought", "scaling", "budget"):
        for sentence in plain["answers"][one]["sentences"]:
            assert sentence in " ".join(out.split())


@pytest.mark.slow
def test_allocate_says_more_only_when_asked(capsys, runs):
    given = ("allocate", "--runs", runs, "--budget", "1e9")
    brief, full = short(capsys, *given)[1], short(capsys, *given, "--full")[1]
    assert len(brief.splitlines()) <= 30
    for part in ("Predicted by the laws", "Measured within the budget"):
        assert part in brief
        assert part in full
    assert "Sizes nearly as good" in full
    assert "Sizes nearly as good" not in brief


@pytest.mark.slow
def test_fit_follows_the_contract(capsys, runs):
    code, out, _ = call(capsys, "fit", "--runs", runs, "--json")
    mixtures = json.loads(out)["mixtures"]
    assert code == 0
    assert set(mixtures) == {"scratch", "pretrained"}
    for fitted in mixtures.values():
        assert (fitted["n_runs"], fitted["n_cells"]) == (40, 20)
        assert "Huber" in fitted["objective"]
        assert set(fitted["parameters"]) == {"E", "A", "B", "alpha", "beta"}
        assert all(estimates(value) for value in fitted["parameters"].values())
        assert set(fitted["frontier"]) == {"params_exponent", "data_exponent"}
        assert fitted["frontier"]["params_exponent"]["low"] < 0.4 / 0.9
        assert fitted["frontier"]["params_exponent"]["high"] > 0.4 / 0.9
        assert isinstance(fitted["warnings"], list)


@pytest.mark.slow
def test_allocate_follows_the_contract(capsys, runs):
    code, out, _ = call(capsys, "allocate", "--runs", runs, "--budget", "1e10", "--json")
    answer = json.loads(out)
    assert code == 0
    assert answer["budget_flops"] == 1e10
    assert answer["best"] == "pretrained"
    for found in answer["mixtures"].values():
        assert all(estimates(found[name]) for name in ("params", "examples", "loss"))
        cost = 6 * found["params"]["value"] * found["examples"]["value"]
        assert cost == pytest.approx(1e10)
        assert found["measured"]["flops"] <= 1e10


@pytest.mark.slow
def test_compare_follows_the_contract(capsys, runs):
    code, out, _ = call(capsys, "compare", "--runs", runs, "--json")
    answer = json.loads(out)
    (pair,) = answer["pairs"]
    assert code == 0
    assert {"a", "b", "delta_params_exponent", "p_value", "method"} <= pair.keys()
    assert estimates(pair["delta_params_exponent"])
    assert pair["delta_params_exponent"]["low"] < 0 < pair["delta_params_exponent"]["high"]
    assert answer["paired"]["pairs"][0]["overall"]["n_lower"] >= 38


@pytest.mark.long
def test_compare_shows_every_test_and_takes_the_options_of_fit(capsys, runs):
    options = ("--law", "no-floor", "--objective", "squares", "--uncertainty", "wild")
    code, out, _ = call(capsys, "compare", "--runs", runs)
    words = " ".join(out.split())
    assert code == 0
    assert "own floors E one floor E" in words
    assert "one law alpha, beta alpha beta E swapped" in words
    assert "- pretrained minus scratch: no shift" in words
    code, out, _ = call(capsys, "compare", "--runs", runs, *options, "--json")
    answer = json.loads(out)
    assert code == 0
    assert "wild" in answer["interval"]
    (pair,) = answer["pairs"]
    shared = [test["shared"] for test in pair["tests"]]
    assert shared[1:] == [["alpha", "beta"], ["alpha"], ["beta"]]
    assert "swapped" in pair["permutation"]["method"]


@pytest.mark.slow
@pytest.mark.parametrize("command", [["fit"], ["compare"], ["allocate", "--budget", "1e10"]])
def test_tables_fit_a_terminal_and_say_how_they_were_made(capsys, runs, command):
    code, out, _ = call(capsys, command[0], "--runs", runs, *command[1:])
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "C = 6 x params x examples" in " ".join(out.split()) or command == ["compare"]
    assert "…" not in out


@pytest.fixture
def edited(runs, tmp_path):
    """Writes the run table as changed by a function."""

    def make(change):
        path = tmp_path / "edited.csv"
        change(pd.read_csv(runs)).to_csv(path, index=False)
        return path

    return make


def other_ladder(frame):
    """The second mixture on other model sizes: both can be fitted, nothing can be paired."""
    frame.loc[frame["mixture"] == "pretrained", "params"] *= 1.5
    return frame


def two_sizes(frame):
    """Too few model sizes for a law, enough to pair."""
    return frame[frame["params"] < 5e3]


def neither(frame):
    """One mixture of two sizes."""
    return two_sizes(frame[frame["mixture"] == "scratch"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "change", "shown", "missing"),
    [
        ("fit", other_ladder, "Frontier", "- not paired: no two mixtures have a run with"),
        ("fit", two_sizes, "Measured", "- not fitted: mixture 'scratch' has 2 model sizes"),
        ("compare", two_sizes, "Measured", "- not compared: mixture 'scratch' has 2 model sizes"),
    ],
)
def test_what_can_be_shown_is_shown(capsys, edited, command, change, shown, missing):
    code, out, err = call(capsys, command, "--runs", edited(change))
    words = " ".join(out.split())
    assert (code, err) == (0, "")
    assert shown in words
    assert missing in words


@pytest.mark.slow
def test_json_holds_what_can_be_shown(capsys, edited):
    answer = json.loads(call(capsys, "fit", "--runs", edited(other_ladder), "--json")[1])
    assert answer["paired"] is None
    assert set(answer["mixtures"]) == {"scratch", "pretrained"}
    assert answer["warnings"][-1].startswith("not paired: no two mixtures")
    answer = json.loads(call(capsys, "fit", "--runs", edited(two_sizes), "--json")[1])
    assert answer["paired"]["pairs"][0]["overall"]["n_sizes"] == 2
    assert answer["mixtures"] == {}
    assert answer["warnings"][-1].startswith("not fitted: mixture 'scratch' has 2 model sizes")
    answer = json.loads(call(capsys, "compare", "--runs", edited(two_sizes), "--json")[1])
    assert answer["pairs"] == []
    assert answer["warnings"][0].startswith("not compared: ")
    assert answer["paired"]["baseline"] == "scratch"


@pytest.mark.slow
def test_other_sizes_are_compared_by_the_fits_to_them(capsys, edited):
    code, out, _ = call(capsys, "compare", "--runs", edited(other_ladder))
    assert code == 0
    assert "- independent fits: pretrained - scratch: on the common cells: no common cell" in out
    assert "- pretrained minus scratch: no shift shown" in out


@pytest.mark.slow
@pytest.mark.parametrize("command", ["fit", "compare"])
def test_nothing_to_show_is_an_error(capsys, edited, command):
    code, out, err = call(capsys, command, "--runs", edited(neither))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "not paired: " in err
    assert ("not fitted: " if command == "fit" else "not compared: ") in err


@pytest.mark.slow
@pytest.mark.parametrize("command", [["fit"], ["compare"], ["allocate", "--budget", "1e12"]])
def test_long_names_fit_too(capsys, edited, command):
    def rename(frame):
        names = {"scratch": "none_at_all1", "pretrained": "jetclass2qcd"}
        return frame.assign(
            mixture=frame["mixture"].map(names),
            loss=frame["loss"] * (1 + 0.3 * np.sin(7 * np.arange(len(frame)))),
        )

    code, out, _ = call(capsys, command[0], "--runs", edited(rename), *command[1:])
    assert code == 0
    assert [line for line in out.splitlines() if len(line) > 80] == []
    assert "…" not in out
    assert "none_at_all1" in out


def test_brackets_are_not_markup(capsys, edited):
    def one_size(frame):
        names = {"scratch": "[/b]", "pretrained": "[red]"}
        return frame[frame["params"] == 1e3].assign(mixture=lambda f: f["mixture"].map(names))

    code, out, _ = call(capsys, "fit", "--runs", edited(one_size))
    assert code == 0
    assert "loss of [red] minus [/b]" in " ".join(out.split())
    assert out.count("[one size]") == 6
    assert "mixture '[/b]' has 1 model size" in " ".join(out.split())


@pytest.mark.slow
def test_warnings_of_a_mixture_share_a_line(capsys, runs):
    _, out, _ = call(capsys, "allocate", "--runs", runs, "--budget", "1e16")
    lines = [line for line in out.splitlines() if line.startswith("- ")]
    assert len(lines) == 2
    assert lines[0].startswith("- scratch: extrapolates: budget 5.01 decades above, N* ")


@pytest.mark.slow
def test_pretraining_is_not_in_the_budget(capsys, edited):
    def pretrain(frame):
        flops = np.where(frame["mixture"] == "pretrained", 1e3 * frame["params"], 0.0)
        return frame.assign(
            flops=5 * frame["params"] * frame["examples"],
            pretraining_flops=flops,
            params_non_embedding=frame["params"] - 100,
        )

    path = edited(pretrain)
    for command in (["fit"], ["allocate", "--budget", "1e10"]):
        words = " ".join(call(capsys, command[0], "--runs", path, *command[1:])[1].split())
        assert "pretraining not counted; params: all trainable parameters" in words
        assert "pretrained: 6.4e+07 FLOPs of pretraining per model (largest) are not in" in words
        assert "scratch: 0 FLOPs" not in words


@pytest.mark.slow
def test_alone_a_mixture_is_not_called_the_best(capsys, runs):
    arguments = ("allocate", "--runs", runs, "--budget", "1e10")
    _, alone, _ = call(capsys, *arguments, "--mixture", "scratch")
    _, both, _ = call(capsys, *arguments)
    assert "best" not in alone
    assert "100%" not in alone
    assert "lowest" not in alone
    assert "best: share of bootstrap replicates" in " ".join(both.split())


@pytest.mark.long
def test_ratios_that_nothing_is_known_of_are_not_printed(capsys, edited):
    def flat(frame):
        rng = np.random.default_rng(0)
        return frame.assign(
            loss=2 + 30 / frame["examples"] ** 0.4 + rng.normal(0, 0.05, len(frame))
        )

    _, out, _ = call(capsys, "compare", "--runs", edited(flat))
    assert "- pretrained over scratch: not identified at this scale" in out
    assert "x>1000" not in out


@pytest.mark.parametrize("arguments", [("--budget", "0"), ("--budget", "1", "--mixture", "x")])
def test_a_bad_question_costs_no_fit(capsys, runs, arguments, monkeypatch):
    monkeypatch.setattr("jetscale.scaling.fit", lambda frame: pytest.fail("fitted first"))
    assert call(capsys, "allocate", "--runs", runs, *arguments)[0] == 2


@pytest.mark.slow
def test_the_answer_is_a_sentence(capsys, runs):
    _, out, _ = call(capsys, "allocate", "--runs", runs, "--budget", "1e10")
    words = " ".join(out.split())
    assert words.startswith("By the laws: with pretrained train ")
    assert " Measured: loss " in words


@pytest.mark.slow
def test_a_budget_in_money_pays_for_jets_too(capsys, runs):
    speed = ("--rate", "1e9", "--price-gpu-hour", "1")
    answers = []
    for price in ("0", "1e-4"):
        options = ("--money", "1", *speed, "--price-example", price)
        code, out, _ = call(capsys, "allocate", "--runs", runs, *options, "--json")
        assert code == 0
        answers.append(json.loads(out))
    assert [a["budget"]["unit"] for a in answers] == ["money", "money"]
    free, priced = (a["mixtures"]["scratch"] for a in answers)
    assert priced["params"]["value"] > free["params"]["value"]
    assert priced["examples"]["value"] < free["examples"]["value"]
    spent = priced["flops"] / 1e9 / 3600 + 1e-4 * priced["examples"]["value"]
    assert spent == pytest.approx(1.0)
    assert free["data_free"] is None
    assert priced["data_free"]["params"] == pytest.approx(free["params"]["value"])
    assert priced["data_share"] == pytest.approx(1e-4 * priced["examples"]["value"])
    code, out, _ = call(capsys, "allocate", "--runs", runs, *options)
    assert "0.0001 per example" in out
    assert "1 (money)" in out
    assert "of the budget pays for examples; were they free, N*" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.slow
def test_other_laws_and_objectives_say_so(capsys, runs):
    options = ("--law", "no-floor", "--objective", "squares", "--uncertainty", "wild")
    code, out, _ = call(capsys, "fit", "--runs", runs, *options, "--json")
    plain = json.loads(out)
    assert code == 0
    assert plain["law"] == "L(N, D) = A / N^alpha + B / D^beta"
    assert "squared" in plain["mixtures"]["scratch"]["objective"]
    assert "wild" in plain["interval"]
    for option, value in zip(options[::2], ("chinchila", "hubber", "cell"), strict=True):
        code, out, error = call(capsys, "fit", "--runs", runs, option, value)
        assert (code, out) == (2, "")
        assert f"'{value}'; did you mean" in error


@pytest.mark.slow
def test_the_ladder_offers_measured_sizes(capsys, runs):
    options = ("--gpu-hours", "1", "--rate", "1e8", "--ladder", "--json")
    said = short(capsys, "allocate", "--runs", runs, *options[:-1])[1]
    assert "Prices: 1e+08 FLOP/s sustained (given)." in said
    code, out, _ = call(capsys, "allocate", "--runs", runs, *options)
    answer = json.loads(out)
    assert code == 0
    assert answer["ladder"] == [1e3, 4e3, 1.6e4, 6.4e4]
    for found in answer["mixtures"].values():
        assert found["params"]["value"] in answer["ladder"]
        assert found["flops"] == pytest.approx(3600 * 1e8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "give one of --budget"),
        (("--budget", "1e9", "--money", "3"), "give one of --budget"),
        (("--gpu-hours", "3"), "the speed is unknown: give --rate"),
        (("--gpu-hours", "3", "--device", "H20", "--mfu", "0.3"), "did you mean 'H200'"),
        (("--money", "3", "--rate", "1e9"), "--money needs --price-gpu-hour"),
        (("--budget", "1e9", "--price-example", "1"), "prices need a budget in --money"),
    ],
)
def test_half_a_budget_is_one_line(capsys, runs, options, message):
    code, out, error = call(capsys, "allocate", "--runs", runs, *options)
    assert (code, out) == (2, "")
    assert message in error
    assert len(error.splitlines()) == 1


@pytest.mark.slow
def test_a_budget_far_outside_is_called_an_extrapolation(capsys, runs):
    _, out, _ = call(capsys, "allocate", "--runs", runs, "--budget", "1e16")
    assert "decades above the measured runs" in " ".join(out.split())


@pytest.mark.long
def test_the_report_is_written(capsys, runs, tmp_path):
    code, out, _ = call(capsys, "report", "--runs", runs, "--out", tmp_path / "r.html")
    assert code == 0
    assert "report written to" in out
    assert "pretrained" in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["allocate", "--budget", "0"], "budget is 0.0 FLOPs, needs a finite number above zero"),
        (["allocate", "--budget", "nan"], "budget is nan FLOPs"),
        (["allocate", "--budget", "many"], "'many' is not a valid number; needs a number of FLOPs"),
        (["allocate", "--budget", "1e9", "--mixture", "pretraind"], "did you mean 'pretrained'"),
    ],
)
def test_a_bad_question_is_one_line(capsys, runs, arguments, message):
    code, out, err = call(capsys, arguments[0], "--runs", runs, *arguments[1:])
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mixture,params,examples\na,1,2\n", "missing column 'loss'"),
        ("mixture,params,examples,loss\na,1,2\n", "row 1 has 3 fields, the header has 4"),
        ("mixture,params,examples,loss\n1,a,1,2,3\n", "row 1 has 5 fields, the header has 4"),
        ("mixture,params,examples,loss,seed\na,1,2,3,1e30\n", "row 1: seed is 1e+30"),
        ("mixture,params,examples,los\na,1,2,3\n", "'los'"),
        ("mixture,params,examples,loss\na,1,2,high\n", "high"),
        ("mixture,params,examples,loss\na,1,0,3\n", "examples"),
        ("mixture,params,examples,loss\n", "no rows"),
        ("", "runs.csv"),
    ],
)
def test_a_bad_table_is_one_line(capsys, tmp_path, text, message):
    path = tmp_path / "runs.csv"
    path.write_text(text)
    code, out, err = call(capsys, "fit", "--runs", path)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert message in err


@pytest.mark.slow
def test_far_beyond_the_runs_the_first_sentence_says_so(capsys, runs):
    for budget, words in (("1e10", None), ("1e16", "and at that distance a guess")):
        code, out, _ = call(capsys, "allocate", "--runs", runs, "--budget", budget)
        assert code == 0
        start = " ".join(out.split("Predicted by")[0].split())
        assert ("decades above the measured compute" in start) == (words is not None)
        assert words is None or words in start
    _, out, _ = call(capsys, "allocate", "--runs", runs, "--budget", "1e16", "--json")
    assert json.loads(out)["decades_beyond"] > 5


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--gpu-hours", "1"), "has no columns flops and seconds"),
        (("--gpu-hours", "1", "--rate", "-1"), "rate is -1.0 FLOP/s"),
        (("--gpu-hours", "1", "--device", "H100"), "--device NAME with --mfu SHARE"),
        (("--budget", "1e9", "--rate", "1e9"), "needs no speed"),
        (("--budget", "1e9", "--device", "H1000"), "needs no speed: drop --rate, --device, --mfu"),
    ],
)
def test_a_speed_must_be_known_and_wanted(capsys, runs, options, complaint):
    code, out, error = call(capsys, "allocate", "--runs", runs, *options)
    assert (code, out) == (2, "")
    assert complaint in error


@pytest.mark.long
def test_mixtures_can_share_a_floor(capsys, runs):
    code, out, _ = call(capsys, "fit", "--runs", runs, "--shared", "E, alpha", "--json")
    assert code == 0
    plain = json.loads(out)
    assert plain["shared"] == ["E", "alpha"]
    for name in ("E", "alpha"):
        values = {fitted["parameters"][name]["value"] for fitted in plain["mixtures"].values()}
        assert len(values) == 1
    assert (
        len({fitted["parameters"]["beta"]["value"] for fitted in plain["mixtures"].values()}) == 2
    )
    _, out, _ = call(capsys, "fit", "--runs", runs, "--shared", "E")
    assert "Common to all mixtures: E." in " ".join(out.split())
    code, out, error = call(capsys, "fit", "--runs", runs, "--shared", "alhpa")
    assert (code, out) == (2, "")
    assert "'alhpa'; did you mean 'alpha'" in error


def test_a_report_never_takes_the_place_of_a_table(capsys, runs, tmp_path):
    before = runs.read_text()
    for out in (runs, tmp_path / "report.pdf", tmp_path):
        code, text, error = call(capsys, "report", "--runs", runs, "--out", out)
        assert (code, text) == (2, "")
        assert "needs the name of an HTML file" in error
    assert runs.read_text() == before


@pytest.mark.long
@pytest.mark.parametrize("change", ["six cells", "constant"])
def test_poor_tables_still_get_a_report(capsys, edited, tmp_path, change):
    def poor(frame):
        if change == "six cells":
            small = frame["params"] < 2e4
            kept = small & ((frame["examples"] < 2e4) | (frame["params"] < 2e3))
            return frame[kept].drop_duplicates(["mixture", "params", "examples"])
        return frame.assign(loss=1.0)

    out = tmp_path / "r.html"
    code, _, error = call(capsys, "report", "--runs", edited(poor), "--out", out)
    assert code == 0, error
    assert "Can the fits be trusted?" in out.read_text()


@pytest.mark.parametrize("command", ["fit", "compare", "allocate", "report"])
def test_a_score_is_refused_as_a_loss(capsys, edited, tmp_path, command):
    def score(frame):
        return frame.assign(loss=1 - 1 / (1 + np.log(frame["params"] * frame["examples"])))

    more = {"allocate": ("--budget", "1e10"), "report": ("--out", tmp_path / "r.html")}
    code, out, error = call(capsys, command, "--runs", edited(score), *more.get(command, ()))
    assert (code, out) == (2, "")
    assert "a loss that rises with params and examples" in error.splitlines()[-1]
    assert "--metric" in error.splitlines()[-1]


@pytest.mark.long
def test_routes_stand_beside_the_law(capsys, runs):
    _, out, _ = call(capsys, "fit", "--runs", runs)
    assert "Exponent a of N* by route" in out
    assert "and law agree within noise" in " ".join(out.split())
    plain = json.loads(call(capsys, "fit", "--runs", runs, "--json")[1])
    assert plain["routes"]["scratch"]["routes"][0]["name"] == "law"
    plain = json.loads(call(capsys, "compare", "--runs", runs, "--json")[1])
    assert {shift["route"] for shift in plain["route_shifts"]} <= {"isoFLOP", "envelope"}


@pytest.mark.slow
def test_a_route_can_answer(capsys, runs):
    _, out, _ = call(capsys, "allocate", "--runs", runs, "--budget", "1e11", "--route", "envelope")
    assert "Predicted by the envelope route at 1e+11 FLOPs" in out
    code, _, error = call(capsys, "allocate", "--runs", runs, "--budget", "1e11", "--route", "x")
    assert code == 2
    assert "unknown route 'x'" in error


def test_what_cannot_be_asked_is_refused_before_a_table_is_read(capsys, tmp_path):
    missing = tmp_path / "no.csv"
    for command, complaint in (
        (
            ("compare", "--law", "transfer"),
            "a comparison needs a law with heights and exponents of two terms alone",
        ),
        (("fit", "--law", "chinchila"), "did you mean 'chinchilla'"),
        (("allocate", "--budget", "0"), "budget is 0.0 FLOPs"),
        (("allocate", "--gpu-hours", "1", "--device", "H1000", "--mfu", ".3"), "unknown device"),
    ):
        code, out, error = call(capsys, *command, "--runs", missing)
        assert (code, out) == (2, "")
        assert complaint in error


def test_a_flops_column_that_is_none_is_refused(capsys, edited):
    def shuffle(frame):
        flops = 6 * frame["params"] * frame["examples"]
        return frame.assign(flops=flops.sample(frac=1, random_state=1).to_numpy())

    code, _, error = call(capsys, "allocate", "--runs", edited(shuffle), "--budget", "1e9")
    assert code == 2
    assert "flops" in error


@pytest.mark.slow
def test_mixtures_that_are_not_told_apart_are_said_to_be(capsys, edited):
    def alike(frame):
        first = frame[frame["mixture"] == "scratch"]
        sign = np.where(first["seed"] == 1, 0.02, -0.02)  # cell means stay
        others = [
            first.assign(mixture=name, loss=first["loss"] * np.exp(shift))
            for name, shift in (("b", sign), ("c", -sign))
        ]
        return pd.concat([first, *others])

    _, out, _ = call(capsys, "allocate", "--runs", edited(alike), "--budget", "1e9")
    assert "these cells do not tell the mixtures apart" in " ".join(out.split())


def pretrained(frame):
    """The second mixture pretrained on two sizes, the first from scratch."""
    size = np.where(frame["params"] > 5e3, 2e5, 1e5)
    return frame.assign(pretraining_examples=np.where(frame["mixture"] == "scratch", 0.0, size))


@pytest.mark.long
def test_laws_with_a_covariate_are_fitted_and_spent_by(capsys, edited):
    path = edited(pretrained)
    code, out, _ = call(capsys, "fit", "--runs", path, "--law", "transfer")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "…" not in out
    further = out.split("Further parameters of the law")[1]
    assert re.search(r"scratch +– +– +–", further), "nothing is transferred to scratch"
    assert re.search(r"pretrained +[\d.e+]+ \[", further)
    code, out, _ = call(
        capsys, "allocate", "--runs", path, "--law", "pretraining", "--budget", "1e9", "--json"
    )
    answer = json.loads(out)
    assert code == 0
    assert list(answer["mixtures"]) == ["pretrained"]
    assert "has runs from scratch" in answer["not_fitted"]["scratch"]
    lines = answer["mixtures"]["pretrained"]["warnings"]
    assert lines[-1].startswith("pretrained: for models pretrained on ")


@pytest.mark.parametrize("law", ["repetition", "transfer", "pretraining"])
def test_laws_that_cannot_be_compared_are_refused_with_the_reason(capsys, runs, law):
    code, out, err = call(capsys, "compare", "--runs", runs, "--law", law)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"under '{law}' mixtures of equal exponents can still differ in" in err


def test_help_lists_the_laws_a_command_takes(capsys):
    shown = {name: call(capsys, name, "--help")[1] for name in ("fit", "compare", "allocate")}
    assert "transfer" in shown["fit"]
    assert "transfer" in shown["allocate"]
    assert "transfer" not in shown["compare"]


@pytest.mark.slow
def test_runs_that_differ_in_their_pretraining_are_runs(capsys, edited):
    def twice(frame):
        return pd.concat([frame.assign(pretraining_examples=size) for size in (1e5, 1e6)])

    for asked in (("fit",), ("allocate", "--budget", "1e10")):
        code, _, err = short(capsys, *asked, "--runs", edited(twice))
        assert (code, "runs differ in pretraining_examples" in err) == (0, True)
    code, out, _ = call(capsys, "fit", "--runs", edited(twice), "--json")
    assert code == 0
    assert {f["n_runs"] for f in json.loads(out)["mixtures"].values()} == {80}


@pytest.mark.slow
def test_tiny_losses_have_digits(capsys, edited):
    path = edited(lambda frame: frame.assign(loss=frame["loss"] * 1e-5))
    code, out, _ = call(capsys, "allocate", "--runs", path, "--budget", "1e10")
    assert code == 0
    assert "0.000" not in out
    assert re.search(r", expect loss \d\.\d\de-[56] \[", " ".join(out.split()))
    assert max(map(len, out.splitlines())) <= 80
    assert "0.000" not in call(capsys, "fit", "--runs", path)[1].split("Frontier")[0]


@pytest.mark.slow
def test_sentence_and_json_crown_the_same_mixture(capsys, runs):
    for budget in ("1e8", "1e10", "1e14"):
        _, out, _ = call(capsys, "allocate", "--runs", runs, "--budget", budget)
        answer = json.loads(
            call(capsys, "allocate", "--runs", runs, "--budget", budget, "--json")[1]
        )
        words = " ".join(out.split())
        assert " ".join(answer["answer"].split()) in words
        if answer["choice"] == "told_apart":
            assert f"By the laws: with {answer['best']} train " in words
        else:
            assert answer["best"] is None


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    """A foreign table: other names of columns, rejections of a test set, tab separated."""
    rng, rows = np.random.default_rng(4), []
    for name, better in (("base", 1.0), ("pretrained", 0.6)):
        for n in (1e4, 4e4, 1.6e5, 6.4e5):
            for d in (1e4, 4e4, 1.6e5, 6.4e5):
                for seed in (0, 1):
                    share = 4e-4 + 0.4 / n**0.5 + better * 1.5 / d**0.5
                    passing = rng.binomial(50_000, share * rng.lognormal(0, 0.01))
                    loss = 2 * share**0.6 * rng.lognormal(0, 0.005)
                    rows.append((name, n, d, seed, loss, 50_000 / passing, 50_000))
    names = ["dataset", "N", "training_jets", "seed", "CE", "rejection_Hbb", "test_background"]
    path = tmp_path_factory.mktemp("tagger") / "runs.tsv.gz"
    pd.DataFrame(rows, columns=names).to_csv(path, index=False, sep="\t")
    return path


TAGGER = ("--columns", "loss=CE", "--metric", "rejection_Hbb", "--objective", "squares")


@pytest.mark.long
def test_the_answers_say_what_doubles_a_score(capsys, tagger):
    code, out, err = short(capsys, "fit", "--runs", tagger, *TAGGER)
    assert code == 0, err
    assert "What doubles rejection_Hbb" in out
    assert "1/rejection_Hbb against base" in out
    (again,) = [line.partition("jetscale ")[2] for line in out.splitlines() if "--full" in line]
    code, full, err = short(capsys, *shlex.split(again))
    assert code == 0, err
    assert "Frontier" in full


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (["fit"], "What doubles rejection_Hbb"),
        (["compare"], "1/rejection_Hbb of pretrained minus base"),
        (["allocate", "--budget", "1e12"], "rejection_Hbb of these runs"),
    ],
)
def test_every_command_takes_a_foreign_table_and_a_metric(capsys, tagger, command, shown):
    code, out, err = call(capsys, *command, "--runs", tagger, *TAGGER)
    assert code == 0, err
    assert shown in " ".join(out.split())
    assert "Objective: half the sum of squared log residuals" in " ".join(
        out.split()
    ) or command != ["fit"]
    assert "read training_jets as examples" in err
    assert "the test set alone makes an error" in err
    assert "jets" in out or command == ["compare"]


@pytest.mark.slow
def test_the_answers_of_a_metric_are_in_the_json(capsys, tagger):
    code, out, _ = call(capsys, "allocate", "--budget", "1e12", "--runs", tagger, *TAGGER, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["metric"]["link"]["cells"] == 32
    assert {goal["by"] for goal in found["metric"]["goals"]} == {
        "the law of 1/rejection_Hbb",
        "the link",
    }
    assert "read N as params" in found["warnings"]
    code, out, _ = call(capsys, "fit", "--runs", tagger, *TAGGER, "--json")
    assert json.loads(out)["metric"]["goals"][0]["metric"]["name"] == "rejection_Hbb"


@pytest.mark.long
def test_a_report_takes_the_options_of_fit(capsys, tagger, tmp_path):
    page = tmp_path / "report.html"
    options = (*TAGGER, "--law", "no-floor", "--uncertainty", "wild", "--noun", "top jets")
    code, _, err = call(capsys, "report", "--runs", tagger, *options, "--out", page)
    assert code == 0, err
    text = page.read_text()
    assert "L(N, D) = A / N^alpha + B / D^beta" in text
    assert "wild cluster bootstrap" in text
    assert "top jets becomes" in text


def test_options_of_a_table_do_not_go_with_a_sweep(capsys):
    code, _, err = call(capsys, "fit", "sweeps/quickstart.py", "--noun", "tokens")
    assert code == 2
    assert "--columns and --noun go with --runs" in err


@pytest.mark.slow
def test_large_tables_say_what_is_being_done(capsys, runs, monkeypatch):
    _, _, quiet = call(capsys, "fit", "--runs", runs)
    assert "fitting" not in quiet
    monkeypatch.setattr("jetscale.cli.tables._LARGE", 80)
    _, _, told = call(capsys, "fit", "--runs", runs)
    stages = [line.split(maxsplit=1)[1] for line in told.splitlines() if re.match(r"\d\d:", line)]
    assert stages == [
        "fitting the laws of 2 mixtures to 80 runs",
        "the frontier by other routes",
        "checking the fits",
    ]
    _, _, told = call(capsys, "allocate", "--runs", runs, "--budget", "1e12")
    assert "fitting laws to 80 runs" in told


@pytest.mark.slow
def test_the_next_commands_carry_what_was_given(capsys, runs):
    given = ("--law", "no-floor", "--objective", "squares", "--shared", "alpha", "--noun", "a jet")
    code, out, err = short(capsys, "fit", "--runs", runs, *given)
    assert code == 0, err
    named = f"--runs {runs} --noun 'a jet'"
    fitted = "--law no-floor --objective squares --shared alpha"
    lines = [line[line.index("jetscale") :] for line in out.split("Next\n")[1].splitlines()]
    assert lines == [
        f"jetscale fit {named} {fitted} --full",
        f"jetscale report {named} {fitted} --out report.html",
        f"jetscale power {named} --objective squares",
    ]
