"""The report in a real browser: figures drawn, the slider moves the numbers, narrow screens."""

import math

import pytest

from jetscale.report import make_report

WIDTH = "return document.documentElement.scrollWidth"
WebDriverWait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait
pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def page(browser, study, tmp_path_factory):
    out = tmp_path_factory.mktemp("browser") / "report.html"
    make_report(study, title="Test", held_fixed=None, replicates=50).write(out)
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


def test_the_console_is_silent_and_every_figure_is_drawn(page):
    assert page.get_log("browser") == []
    plots = page.find_elements("css selector", ".plot")
    drawn = page.find_elements("css selector", ".plot .main-svg .xy")
    assert len(plots) >= 10
    assert len(drawn) >= len(plots)


def test_the_slider_moves_the_numbers(page):
    seen = []
    for value in ("5", "25", "45"):
        drag(page, "budget", value)
        seen.append((page.find_element("id", "budget-value").text, rows(page)))
    budgets = [float(text.removesuffix(" FLOPs")) for text, _ in seen]
    assert budgets == sorted(budgets)
    assert budgets[1] / budgets[0] == pytest.approx(100, rel=0.1)
    assert [row[0] for row in seen[0][1]] == ["scratch", "qcd", "qcd+bsm"]
    for mixture in range(3):
        losses = [float(table[mixture][3].split("\n")[0]) for _, table in seen]
        assert losses == sorted(losses, reverse=True)
        hours = [float(table[mixture][4]) for _, table in seen]
        assert hours == pytest.approx([b / 1e14 / 3600 for b in budgets], rel=0.06)


def test_the_prices_are_the_readers(page):
    drag(page, "budget", "30")
    drag(page, "price-rate", "1e9")
    before = [float(row[5]) for row in rows(page)]
    drag(page, "price-hour", "20")
    assert [float(row[5]) for row in rows(page)] == pytest.approx(
        [10 * x for x in before], rel=0.01
    )
    for nonsense in ("not a number", "-3"):
        drag(page, "price-example", nonsense)
        assert {row[5] for row in rows(page)} == {"–"}
    drag(page, "price-example", "0")
    assert "–" not in {row[5] for row in rows(page)}


def test_extrapolation_is_said(page):
    drag(page, "budget", "0")
    assert "below the measured compute" in page.find_element("id", "budget-note").text
    drag(page, "budget", page.find_element("id", "budget").get_attribute("max"))
    assert "beyond the measured compute" in page.find_element("id", "budget-note").text
    drag(page, "budget", "30")
    assert page.find_element("id", "budget-note").text == ""


def test_tables_fit_a_wide_screen_and_scroll_on_a_narrow_one(page):
    hidden = (
        "return [...document.querySelectorAll('.scroll')]"
        ".filter(e => e.scrollWidth > e.clientWidth).map(e => e.getAttribute('aria-label'))"
    )
    resize(page, 1280)
    assert page.execute_script(hidden) == []
    resize(page, 400)
    scrolling = page.execute_script(hidden)
    assert "Parameters of the laws" in scrolling
    assert not {"What was held fixed", "Checklist", "Method"} & set(scrolling)  # words wrap
    moved = page.execute_script(
        "const box = document.querySelector('#law .scroll'); box.scrollLeft = 200;"
        "return box.querySelector('tbody th').getBoundingClientRect().left"
        " - box.getBoundingClientRect().left"
    )
    assert moved == pytest.approx(0, abs=1)  # the name of the row stays in sight


@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_fits_wide_and_narrow_screens(page, width):
    resize(page, width)
    assert page.execute_script("return window.innerWidth") == width
    wait = WebDriverWait(page, 30)  # figures follow the window in their own time
    wait.until(lambda p: p.execute_script(WIDTH) <= width, "the page is wider than the window")
    sizes = page.execute_script(
        "return [...document.querySelectorAll('p, td, th, label, figcaption')]"
        ".filter(e => e.textContent.trim()).map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= 12
    slider = page.find_element("id", "budget").rect
    assert slider["x"] >= 0
    assert slider["x"] + slider["width"] <= width
    assert math.isfinite(slider["width"])


def test_a_mark_leads_to_its_reason(browser, vague, tmp_path):
    out = tmp_path / "report.html"
    make_report(vague, title="Test", held_fixed=None, replicates=50).write(out)
    browser.get(out.as_uri())
    mark = browser.find_element("css selector", "#law a.mark")
    target = mark.get_attribute("href").split("#")[1]
    assert browser.find_element("id", target).text
    assert browser.find_element("css selector", "#law .reasons p").text.startswith("Numbers marked")
