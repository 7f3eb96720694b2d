"""The page of a search: every section from made-up searches, its figures, odd ends, escaping."""

import math
import re
from dataclasses import replace

import pandas as pd
import pytest

from jetscale.report import search_page
from jetscale.report.tuning import SECTIONS
from jetscale.study import Controls, Mixture, ModelSize, Simulated, Study
from jetscale.study.search import make_search
from jetscale.sweep.tune import search_table
from jetscale.tuning import tuned
from jetscale.words import number

pytestmark = pytest.mark.slow


@pytest.fixture
def study():
    """The tiny study of all rooms; here its name is otherwise that of a run table."""
    return Study(
        name="tiny",
        source=Simulated(train_jets=100),
        mixtures=(Mixture(name="scratch"), Mixture(name="qcd", parts={"qcd": 1})),
        ladder=(ModelSize(width=8, layers=1, heads=1),),
        data_sizes=(20, 40),
        seeds=(1, 2),
        controls=Controls(pretraining_jets=50, validation_jets=10, test_jets=10, constituents=16),
    )


@pytest.fixture
def table(tried, searched):
    return search_table(tried, {record.key: record for record in searched})


@pytest.fixture
def show(wide, search, taken_apart):
    """Makes the page of a search from its table; the answer, the page and its parts."""

    def shown(table, search=search, **changes):
        found = replace(tuned(wide, search, table), **changes)
        made = search_page(found, "tiny.py")
        return found, made, taken_apart(made.text)

    return shown


def named(figure, name):
    return [trace for trace in figure.data if trace.name == name]


@pytest.mark.long
def test_every_section_is_there_and_nothing_is_loaded(table, show):
    _, made, page = show(table)
    assert not page.open
    assert list(page.text) == [section.anchor for section in SECTIONS]
    assert "<h1>Learning rates of tiny</h1>" in made.text
    assert "default-src 'none'" in made.text
    places = [v for _, name, v in page.attributes if name == "id" and v.startswith("figure-")]
    assert len(places) == len(made.figures) == 9 + 9 + 3
    assert next(iter(made.texts())) == "tune.html"
    assert "252 runs on validation jets: 2 mixtures, widths 8, 16, 32" in made.text


@pytest.mark.long
def test_tables_say_what_was_found(table, show):
    found, _, page = show(table)
    assert found.sentence.split(";")[0] in page.text["answer"]
    assert found.widening in page.text["answer"]
    laws = {row[0].strip(): row for row in page.rows["search-laws"]}
    assert set(laws) == {"start", "scratch", "pretrained", "pretraining"}
    law = found.laws.law("scratch")
    assert f"{math.exp(law.log_c.value):.3g}" in laws["scratch"][1]
    assert laws["scratch"][2].split()[0] == number(-law.width.value)
    assert laws["pretraining"][3].split() == ["0", "kept"]
    assert len(page.rows["search-cost"]) == 1 + len(found.regrets)
    first = found.regrets[0]
    assert f"{first.regret:+.3f}" in page.rows["search-cost"][1][6]
    assert "Every arm was searched at the same cells" in page.text["search-arms"]
    assert ["qcd", "9", "45", "90", "2", "0"] in [
        [cell.strip() for cell in row[1:]] for row in page.rows["search-arms"]
    ]
    assert "none was tried" in page.text["search-settings"]


@pytest.mark.long
def test_loss_against_rate_shows_runs_means_and_the_law(table, show):
    found, made, _ = show(table)
    cell = table[(table["width"] == 16) & (table["examples"] == 500)]
    cell = cell[(cell["mixture"] == "qcd") & (cell["start"] == "pretrained")]
    figure = made.figures["Training: width 16, D = 500"]
    means, marks, law = named(figure, "qcd")
    assert list(means.y) == pytest.approx(cell.groupby("rate")["loss"].mean().tolist())
    assert sorted(marks.y) == pytest.approx(sorted(cell["loss"]))
    rate = found.laws.rate("pretrained", 16, cell["steps"].iloc[0])
    assert set(law.x) == {rate}
    assert law.line.color == marks.marker.color
    assert named(made.figures["Pretraining: width 16, D = 500"], "scratch") == []


@pytest.mark.long
def test_arms_of_one_law_take_turns_in_its_dashes(table, show):
    more = table[table["mixture"] == "qcd"].assign(mixture="bsm")
    _, made, _ = show(pd.concat([table, more], ignore_index=True))
    figure = made.figures["Training: width 16, D = 500"]
    laws = [named(figure, name)[-1] for name in ("qcd", "bsm")]
    assert set(laws[0].x) == set(laws[1].x)
    starts = [set(law.y[::3]) for law in laws]
    assert len(starts[0]) == len(starts[1]) == 12
    assert not starts[0] & starts[1]


@pytest.mark.long
def test_a_run_that_diverged_stands_at_the_top(table, show):
    lost = (table["factor"] == 4) & (table["start"] == "scratch") & (table["seed"] == 1)
    _, made, page = show(table.assign(loss=table["loss"].where(~lost, math.inf)))
    figure = made.figures["Training: width 8, D = 100"]
    means, marks, top, _ = named(figure, "scratch")
    assert (len(means.x), len(marks.x)) == (4, 9)
    assert list(top.y) == [figure.layout.yaxis.range[1]]
    assert top.marker.symbol == "x"
    assert "diverged" in top.hovertemplate
    assert "; 9 diverged" in made.text
    assert "9" in page.rows["search-arms"][1][6]


@pytest.mark.long
def test_a_cell_in_which_all_diverged_has_a_figure(table, show):
    lost = (table["width"] == 32) & (table["examples"] == 2000) & (table["mixture"] == "scratch")
    _, made, page = show(table.assign(loss=table["loss"].where(~lost, math.inf)))
    assert "low" in " ".join(cell for row in page.rows["search-cost"] for cell in row)
    assert len(named(made.figures["Training: width 32, D = 2,000"], "scratch")[2].x) == 10


@pytest.mark.long
def test_the_law_of_a_start_is_a_line_per_width(table, show):
    found, made, _ = show(table)
    figure = made.figures["Best rate of scratch"]
    for width in (8, 16, 32):
        law, marks = named(figure, f"width {width}")
        assert law.y[3] == pytest.approx(found.laws.rate("scratch", width, law.x[3]))
        own = [o for o in found.optima if (o.start, o.width) == ("scratch", width)]
        assert list(marks.y) == pytest.approx([o.rate for o in own])
        up = [o.rate * (math.exp(1.96 * o.error) - 1) for o in own]
        assert list(marks.error_y.array) == pytest.approx(up, rel=1e-3)


@pytest.mark.long
def test_a_start_without_a_law_keeps_the_studys_own(table, show):
    flat = 1.5 + 0.01 * table["seed"]
    loss = table["loss"].where(table["start"] != "pretraining", flat)
    found, made, page = show(table.assign(loss=loss))
    assert set(found.kept) == {"pretraining"}
    assert "The law of pretraining stays as it was:" in page.text["answer"]
    assert "No law was found for pretraining" in page.text["search-laws"]
    assert "Best rate of pretraining" not in made.figures
    (means, _) = named(made.figures["Pretraining: width 8, D = 100"], "qcd")
    assert len(means.x) == 5


@pytest.mark.long
def test_one_start_alone_makes_a_page(table, show):
    _, made, page = show(table[table["start"] == "scratch"])
    assert len(made.figures) == 9 + 1
    assert len(page.rows["search-laws"]) == 2
    assert "Pretraining" not in page.text["search-rates"]


@pytest.mark.long
def test_open_ends_come_with_the_command(wide, table, show):
    narrow = make_search(wide, rates=(0.25, 0.5, 1.0))
    found, made, page = show(table[table["factor"] <= 1], narrow)
    assert f"<code>jetscale tune tiny.py {found.widening}</code>" in made.text
    assert "high" in " ".join(row[-1] for row in page.rows["search-cost"])


@pytest.mark.long
def test_settings_and_arms_searched_otherwise(table, show, search):
    base = table[(table["factor"] == 1) & (table["start"] != "pretraining")]
    tried = base.assign(setting="weight_decay=0.1", loss=base["loss"] * 0.97)
    part = table[(table["mixture"] != "scratch") | (table["factor"] != 4)]
    wider = search.extend([{"weight_decay": 0.1}])
    _, made, page = show(pd.concat([part, tried], ignore_index=True), wider)
    (row,) = page.rows["search-settings"][1:]
    assert "weight_decay=0.1" in row[0]
    assert "taken: weight_decay = 0.1" in made.text
    assert '<p class="open">The arms were not searched alike.' in made.text


@pytest.mark.long
def test_names_are_escaped(table, show):
    kept = {"pretraining": "<u>why</u>"}
    named = table.assign(mixture=table["mixture"].replace("qcd", "<i>qcd"))
    _, made, _ = show(named, study="<b>tiny</b>", kept=kept)
    before = made.text.split("<script>")[0]
    for raw in ("<i>", "<b>", "<u>"):
        assert raw not in before
    assert "&lt;i&gt;qcd" in before
    (figures,) = re.findall('id="figures">(.*?)</script>', made.text)
    assert "<i>qcd" not in figures.replace("\\u003c", "<")
