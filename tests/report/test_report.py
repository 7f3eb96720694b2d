"""The report as a whole: complete, self-contained, honest, safe to open."""

import json
import re
from collections import Counter

import pytest

from jetscale.errors import FitError, StorageError, TableError
from jetscale.report import SECTIONS, make_report
from jetscale.scaling import validate
from jetscale.scaling.cost import cost_model

pytestmark = pytest.mark.slow

NOT_IDENTIFIED = "not identified at this scale"


@pytest.fixture(scope="module")
def loose(vague, report):
    return report(vague)


def ids(page):
    return [value for _, name, value in page.attributes if name == "id"]


@pytest.mark.long
def test_every_section_is_there_and_linked(full):
    _, page = full
    anchors = [section.anchor for section in SECTIONS]
    assert sorted(page.text) == sorted(anchors)
    links = [value for tag, name, value in page.attributes if (tag, name) == ("a", "href")]
    assert links == [f"#{anchor}" for anchor in page.text]
    for section in SECTIONS:
        text = page.text[section.anchor]
        assert text.startswith(section.title)
        assert len(text) > len(section.title) + 40


@pytest.mark.long
def test_sections_keep_their_order_and_empty_ones_come_last(full, study, report):
    _, page = full  # without measures and training curves
    order = [section.anchor for section in SECTIONS]
    last = ["mixtures", "curves"]
    assert list(page.text) == [a for a in order if a not in last] + last
    _, page = report(study[study["mixture"] == "qcd"])
    empty = [anchor for anchor, text in page.text.items() if "Nothing to show here" in text]
    assert empty == ["mixtures", "measured", "curves", "held-fixed"]
    assert list(page.text)[-4:] == empty


def test_nothing_is_loaded_from_elsewhere(full):
    text, page = full
    outside = [
        value
        for _, name, value in page.attributes
        if name in ("src", "href", "action", "data", "srcset") and not value.startswith("#")
    ]
    assert outside == []
    assert "default-src 'none'" in text


def test_every_figure_has_its_place(full):
    _, page = full
    figures = json.loads(page.scripts[2])
    places = [name for name in ids(page) if name.startswith("figure-")]
    assert places == list(figures)
    assert len(set(ids(page))) == len(ids(page))
    for figure in figures.values():
        assert figure["data"]


def test_facts_controls_and_warnings_are_printed(full):
    text, page = full
    assert "120 runs: 3 mixtures, 20 cells (N 10k to 1M, D 10k to 1M), 2 seeds" in text
    assert ["optimiser.clip ", "1.0 "] in page.rows["held-fixed"]
    assert "3 cells are missing" in page.text["method"]


def test_an_identified_study_is_not_called_otherwise(full):
    _, page = full
    assert NOT_IDENTIFIED not in "".join(page.text.values())
    assert "2. How does it scale? (a: the best model size grows" in " ".join(
        page.text["answer"].split()
    )
    assert "Exponent a of the best model size" in page.text["answer"]
    assert "lowest loss in" in page.text["allocation"]


@pytest.mark.long
def test_what_is_not_identified_says_so_everywhere(loose):
    _, page = loose
    for section in ("law", "frontier", "allocation"):
        assert NOT_IDENTIFIED in page.text[section], section
    assert "Not determined: scratch, qcd: the runs do not bound alpha" in page.text["answer"]
    assert "How does it scale? NOT ANSWERED" in " ".join(page.text["answer"].split())
    assert "runs do not determine the frontier of scratch, qcd" in page.text["frontier"]
    assert "is better than scratch" in page.text["answer"]  # what is measured stands all the same


def test_the_reasons_are_said_once_per_section(loose):
    text, page = loose
    for section in ("law", "trust", "frontier", "allocation"):
        assert page.text[section].count("for completeness, not for use") == 1
        assert page.text[section].count(NOT_IDENTIFIED) == 1
    links = {value for tag, name, value in page.attributes if (tag, name) == ("a", "href")}
    marks = {link for link in links if "-note-" in link}
    assert marks
    assert {link.removeprefix("#") for link in marks} == {i for i in ids(page) if "-note-" in i}
    assert text.count('class="mark"') > len(marks)


def test_no_sentence_stands_twice(loose, full):
    for text, _ in (loose, full):
        page = text.split('<script type="text/plain"')[0]
        lines = re.findall(r"<(?:p|li)\b[^>]*>(.*?)</(?:p|li)>", page, re.DOTALL)
        bare = [re.sub(r"<[^>]+>", "", line).strip() for line in lines]
        parts = [part for line in bare for part in re.split(r"(?<=[.]) ", line)]
        said = Counter(part for part in parts if len(part.split()) > 7)
        assert {part: count for part, count in said.items() if count > 1} == {}


def test_no_mixture_is_crowned_by_a_law_that_is_not_identified(loose):
    _, page = loose
    text = page.text["allocation"]
    assert "lowest loss in" not in text
    assert "share of bootstrap" not in text
    assert "The runs do not determine the law of scratch, qcd, nor which mixture is best" in text


@pytest.mark.long
def test_one_mixture_is_not_compared_with_itself(study, report):
    _, page = report(study[study["mixture"] == "qcd"])
    assert "one mixture, 'qcd'; a comparison needs two" in page.text["measured"]
    assert "lowest loss in" not in page.text["allocation"]
    assert "100%" not in page.text["allocation"]
    assert "Exponent a: qcd 0." in page.text["answer"]
    assert "does not say what was held fixed" in page.text["held-fixed"]


@pytest.mark.long
def test_without_flops_the_convention_is_stated(study, report):
    frame = study[study["mixture"] == "qcd"].drop(columns="flops")
    _, page = report(frame)
    convention = cost_model(validate(frame)).convention
    assert convention in page.text["checklist"]


@pytest.mark.long
def test_without_seeds_every_cell_is_one_run(make_runs, report):
    frame = make_runs({"a": (0.5, 20, 30, 0.45, 0.42), "b": (0.5, 18, 20, 0.45, 0.42)}, seeds=1)
    _, page = report(frame.drop(columns="seed"))
    assert "(1 seed)" in page.text["losses"]


@pytest.mark.long
def test_a_mixture_with_too_few_cells_is_named_and_the_rest_fitted(study, report):
    few = (study["mixture"] != "qcd+bsm") | (study["params"] == study["params"].min())
    _, page = report(study[few])
    assert "qcd+bsm: not fitted: it has 1 model size, needs at least 3" in page.text["law"]
    assert "qcd+bsm: not fitted" in page.text["allocation"]
    assert {"scratch ", "qcd "} == {row[1] for row in page.rows["allocation"][1:]}


def test_too_few_cells_altogether_leave_the_measured_part(study, report):
    _, page = report(study[study["params"] <= 4e4])
    assert "No law is fitted: mixture 'scratch' has 2 model sizes" in page.text["answer"]
    assert "Nothing to show here: mixture 'scratch' has 2 model sizes" in page.text["law"]
    for section in ("trust", "frontier", "slider", "allocation"):
        assert "Nothing to show here: see above." in page.text[section]
    assert "qcd is better than scratch" in page.text["answer"]


@pytest.mark.long
def test_names_are_text_never_markup(make_runs, report):
    evil = "a<b>&\"'</script><img src=http://x>"
    good, worse = (0.5, 18, 20, 0.45, 0.42), (0.5, 20, 30, 0.45, 0.42)
    text, page = report(make_runs({"scratch": worse, evil: good}, seeds=1), title="<i>$title</i>")
    assert evil in page.text["answer"]
    assert "<b>" not in text.split("<script>")[0]
    assert "<i>" not in text.split("<script>")[0]
    assert not [tag for tag, _, _ in page.attributes if tag == "img"]
    names = [
        trace.get("name", "") for f in json.loads(page.scripts[2]).values() for trace in f["data"]
    ]
    assert any("a&lt;b&gt;" in name for name in names)
    assert not any("<" in name for name in names)


@pytest.mark.long
def test_an_example_is_called_by_its_noun(study, report):
    _, page = report(study[study["mixture"] == "qcd"].assign(noun="jet"))
    figures = json.loads(page.scripts[2]).values()
    axes = [axis for f in figures for axis in f["layout"].values() if isinstance(axis, dict)]
    titles = {axis["title"]["text"] for axis in axes if "text" in axis.get("title", {})}
    assert "training jets D" in titles
    assert not [title for title in titles if "examples" in title]
    assert "number of training jets D" in page.text["losses"]


def test_the_budgets_given_are_the_ones_answered(study, report):
    _, page = report(study[study["mixture"] == "qcd"], budgets=[1e9, 1e16])
    assert [row[0] for row in page.rows["allocation"][1:]] == ["1.00e9 ", "1.00e16 "]
    assert "decades above the measured runs" in page.text["allocation"]


def test_no_budget_no_answer(study, report):
    _, page = report(study[study["mixture"] == "qcd"], budgets=[])
    assert "Nothing to show here: no budget was asked for." in page.text["allocation"]


def test_commands_are_code_not_backticks(full):
    text, page = full
    assert "<code>jetscale measure</code>" in text
    assert "`" not in "".join(page.text.values())


def test_every_table_has_a_name_and_can_be_reached_with_the_keyboard(full):
    text, page = full
    boxes = text.count('<div class="scroll"')
    assert boxes >= 12
    assert text.count('<div class="scroll" tabindex="0" role="region" aria-label=') == boxes
    names = [v for tag, name, v in page.attributes if (tag, name) == ("div", "aria-label")]
    assert len(set(names)) == len(names) == boxes
    heads = [v for tag, name, v in page.attributes if (tag, name) == ("th", "scope")]
    assert set(heads) == {"col", "row"}


@pytest.mark.long
def test_the_page_is_the_same_when_made_again(study):
    again = [make_report(study, title="t", held_fixed={"a": 1}, replicates=50) for _ in range(2)]
    assert again[0].text == again[1].text
    assert again[0].texts() == again[1].texts()


def test_an_unwritable_folder_leaves_nothing(study, tmp_path):
    (tmp_path / "file").write_text("mine")
    made = make_report(study[study["mixture"] == "qcd"], title="t", held_fixed=None, replicates=50)
    with pytest.raises(StorageError, match="file"):
        made.write(tmp_path / "file" / "r.html")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.long
def test_a_bad_question_leaves_the_old_report(study, tmp_path):
    out = tmp_path / "r.html"
    out.write_text("old")
    with pytest.raises(FitError, match="budget is -1"):
        make_report(study, title="t", held_fixed=None, budgets=[-1.0], replicates=50).write(out)
    with pytest.raises(FitError, match="replicates is 10"):
        make_report(study, title="t", held_fixed=None, replicates=10).write(out)
    with pytest.raises(TableError, match="missing column 'loss'"):
        make_report(study.drop(columns="loss"), title="t", held_fixed=None).write(out)
    assert out.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]


@pytest.mark.long
def test_page_and_figures_as_files(study):
    made = make_report(study, title="t", held_fixed=None, replicates=50)
    texts = made.texts()
    assert texts["report.html"] == made.text
    figures = {name: text for name, text in texts.items() if name.startswith("figures/")}
    assert len(figures) == len(made.figures) == len(texts) - 1
    assert any(name.endswith("-qcd-runs-and-law.json") for name in figures)
    assert all(json.loads(text)["data"] for text in figures.values())


@pytest.mark.long
def test_a_metric_stands_in_the_place_of_the_loss(study, tmp_path):
    runs = study[study["mixture"] == "qcd"]
    scored = runs.assign(accuracy=1 - runs["loss"] / 10)
    frame = validate(scored, metric="accuracy", noun="events")
    made = make_report(frame, title="t", held_fixed=None, replicates=50)
    shown = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", made.text, flags=re.DOTALL)
    assert not re.search(r"\bloss", shown, re.IGNORECASE)
    assert "1-accuracy" in shown
    assert re.search(r"accuracy 0\.\d+ at .* events becomes", shown)
    assert '"text":"1-accuracy"' in made.text.replace(": ", ":"), "axes say it too"
