"""The report in a real browser: figures on demand, the slider moves the numbers, narrow screens."""

import math

import pytest

from jetscale.analysis import largest_decade
from jetscale.report import make_report, slider
from jetscale.scaling import allocate, fit
from jetscale.scaling.budget import money_budget
from jetscale.words import duration, short

WIDTH = "return document.documentElement.scrollWidth"
WebDriverWait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait
pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def timed(study):
    """Runs with times: a FLOP/s of a slow machine."""
    return study.assign(seconds=study["flops"] / 1e9, device="cpu")


@pytest.fixture(scope="module")
def laws(timed):
    return fit(timed, replicates=50)


@pytest.fixture(scope="module")
def page(browser, timed, tmp_path_factory):
    out = tmp_path_factory.mktemp("browser") / "report.html"
    controls = {"optimiser.rates.pretraining.width_exponent": 0.5}
    make_report(timed, title="Test", held_fixed=controls, replicates=50).write(out)
    browser.get(out.as_uri())
    return browser


def resize(page, width):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def drag(page, name, value):
    field = page.find_element("id", name)
    change = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))"
    page.execute_script(change, field, value)


def rows(page):
    found = page.find_elements("css selector", "#budget-table tbody tr")
    return [[c.text for c in row.find_elements("css selector", "th, td")] for row in found]


DRAWN = (
    "return [...document.querySelectorAll('.plot')]"
    ".map(place => place.querySelector('.main-svg .xy') != null)"
)
UNFOLD = "document.querySelectorAll('details').forEach(fold => { fold.open = true; })"


def test_figures_are_drawn_when_they_come_near_and_the_console_is_silent(page):
    wait = WebDriverWait(page, 30)
    wait.until(lambda p: p.execute_script(DRAWN)[0], "the first figure is not drawn")
    assert not all(page.execute_script(DRAWN)), "nothing that is folded is drawn"
    page.execute_script("dispatchEvent(new Event('beforeprint'))")
    drawn = page.execute_script(DRAWN)
    assert len(drawn) >= 10
    assert all(drawn)
    assert page.get_log("browser") == []
    page.execute_script("document.querySelectorAll('details').forEach(f => { f.open = false; })")


def test_a_link_opens_what_it_leads_to(page):
    shown = "return document.querySelector('#checklist table').checkVisibility()"
    assert not page.execute_script(shown), "the section is folded"
    page.execute_script("location.hash = '#checklist'")
    assert WebDriverWait(page, 30).until(lambda p: p.execute_script(shown))


def test_the_slider_starts_where_the_study_is(page, laws):
    budget = largest_decade(laws)[0]
    assert page.find_element("id", "price-rate").get_attribute("value") == "1.00e9"
    text = page.find_element("id", "budget-value").text
    assert float(text.split(" FLOPs")[0]) == pytest.approx(budget, rel=0.05)
    assert f", {duration(budget / 1e9 / 3600)} of training" in text


def test_the_slider_moves_the_numbers(page, laws):
    seen, flops = [], slider.answers(laws)["flops"]
    for value in (5, 25, 45):
        drag(page, "budget", str(value))
        seen.append((page.find_element("id", "budget-value").text, rows(page)))
    budgets = [float(text.split(" FLOPs")[0]) for text, _ in seen]
    assert budgets == pytest.approx([flops[value] for value in (5, 25, 45)], rel=0.05)
    assert [row[0] for row in seen[0][1]] == ["scratch", "qcd", "qcd+bsm"]
    times = [[row[4] for row in table] for _, table in seen]
    assert times == [[duration(flops[value] / 1e9 / 3600)] * 3 for value in (5, 25, 45)]
    for mixture in range(3):
        losses = [float(table[mixture][3].split("\n")[0]) for _, table in seen]
        assert losses == sorted(losses, reverse=True)


def test_the_nearest_run_stands_beside_a_prediction(page, laws, timed):
    drag(page, "budget", "30")
    found = allocate(laws, slider.answers(laws)["flops"][30]).mixtures["qcd"]
    own = timed[timed["mixture"] == "qcd"].groupby(["params", "examples"])["loss"].mean()
    best = (math.log(found.params.value), math.log(found.examples.value))
    near = min(own.index, key=lambda cell: math.dist(best, map(math.log, cell)))
    loss, place = rows(page)[1][5].split("\n")
    assert place == f"N {short(near[0])}, D {short(near[1])}"
    assert float(loss) == pytest.approx(own[near], rel=1e-3)


@pytest.mark.parametrize("price", [1e-9, 1e-6, 1e-4])
def test_a_price_of_examples_moves_the_optimum_as_allocate_does(page, laws, price):
    drag(page, "budget", "30")
    drag(page, "price-hour", "3")
    drag(page, "price-example", str(price))
    flops = slider.answers(laws)["flops"][30]
    budget = money_budget(3 * flops / 1e9 / 3600, 1e9, 3, price)
    priced, plain = allocate(laws, budget).mixtures, allocate(laws, flops).mixtures
    for row, (name, found) in zip(rows(page), priced.items(), strict=True):
        assert row[1] == short(found.params.value)
        assert row[2] == short(found.examples.value)
        assert found.examples.value < plain[name].examples.value
    if price == 1e-4:
        assert all(m.data_share > 0.2 for m in priced.values()), "examples cost a good part"
    drag(page, "price-example", "0")
    assert rows(page)[0][1].split("\n")[0] == short(plain["scratch"].params.value)


def test_what_is_no_price_has_no_answer(page):
    for nonsense in ("not a number", "-3", ""):
        drag(page, "price-example", nonsense)
        assert {cell for row in rows(page) for cell in row[1:]} == {"–"}
    drag(page, "price-example", "0")
    assert "–" not in {cell for row in rows(page) for cell in row[1:]}
    drag(page, "price-rate", "fast")
    assert {row[4] for row in rows(page)} == {"–"}
    drag(page, "price-rate", "1e9")


def test_extrapolation_is_said(page):
    drag(page, "budget", "0")
    assert "below the measured compute" in page.find_element("id", "budget-note").text
    drag(page, "budget", page.find_element("id", "budget").get_attribute("max"))
    assert "beyond the measured compute" in page.find_element("id", "budget-note").text
    drag(page, "budget", "30")
    assert page.find_element("id", "budget-note").text == ""


@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_is_cut_or_scrolls_sideways(page, width):
    page.execute_script(UNFOLD)
    resize(page, width)
    assert page.execute_script("return window.innerWidth") == width
    wait = WebDriverWait(page, 30)  # figures follow the window in their own time
    wait.until(lambda p: p.execute_script(WIDTH) <= width, "the page is wider than the window")
    cut = (
        "return [...document.querySelectorAll('.scroll, table, td, th, p, li, figcaption, .key')]"
        ".filter(e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display != 'inline')"
        ".map(e => e.getAttribute('aria-label') || e.textContent.trim().slice(0, 40))"
    )
    assert page.execute_script(cut) == []
    beyond = (
        "return [...document.querySelectorAll('td, th')].filter(e => e.checkVisibility())"
        ".filter(e => e.getBoundingClientRect().right > window.innerWidth).length"
    )
    assert page.execute_script(beyond) == 0
    sizes = page.execute_script(
        "return [...document.querySelectorAll('p, td, th, label, figcaption')]"
        ".filter(e => e.textContent.trim()).map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= 12
    slider = page.find_element("id", "budget").rect
    assert slider["x"] >= 0
    assert slider["x"] + slider["width"] <= width


def test_on_a_narrow_screen_every_cell_names_its_column(page):
    page.execute_script(UNFOLD)
    resize(page, 400)
    name = "return getComputedStyle(document.querySelector('#law td'), '::before').content"
    assert page.execute_script(name).startswith('"E')
    resize(page, 1280)
    assert page.execute_script(name) == "none"


@pytest.mark.long
def test_a_mark_leads_to_its_reason(browser, vague, tmp_path):
    out = tmp_path / "report.html"
    make_report(vague, title="Test", held_fixed=None, replicates=50).write(out)
    browser.get(out.as_uri())
    mark = browser.find_element("css selector", "#law a.mark")
    target = mark.get_attribute("href").split("#")[1]
    browser.execute_script("arguments[0].click()", mark)
    assert browser.find_element("id", target).text
