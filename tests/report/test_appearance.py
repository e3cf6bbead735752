"""The report in narrow and wide windows, light and dark: it fits, axe-core finds nothing, the console stays empty."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import Scheme, assert_fits_and_is_accessible
from tests.project import Project
from tests.report.conftest import open_page

pytestmark = pytest.mark.slow  # each test starts servers, or draws in a browser


# each pair of page, width and scheme
@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [("one", 1400, "light"), ("one", 360, "dark"), ("two", 1400, "dark"), ("two", 360, "light")],
)
def test_it_fits_and_has_no_violation_of_accessibility(
    pages: Path, browser: Browser, name: str, width: int, scheme: Scheme, tmp_path: Path
) -> None:
    opened = open_page(browser, pages / f"{name}.html", width, scheme)
    page = opened.page
    page.get_by_text("All params").click()
    page.screenshot(path=tmp_path / "report.png", full_page=True)
    measure = "(box) => [box.clientWidth, box.querySelector('svg').clientWidth]"
    boxes = page.evaluate(f"[...document.querySelectorAll('.plot')].map({measure})")
    assert len(boxes) == 8
    assert all(100 < drawing <= box + 1 for box, drawing in boxes)
    assert_fits_and_is_accessible(page)
    headers = "[...document.querySelectorAll('[data-table=misclassified] th')]"
    assert page.evaluate(f"{headers}.every((cell) => cell.scrollWidth <= cell.clientWidth)"), "a header is cut off"
    assert opened.errors == [], "an error or a warning on the console"


def test_the_order_is_that_of_a_reader(pages: Path, browser: Browser) -> None:
    page = open_page(browser, pages / "two.html").page
    order = page.eval_on_selector_all("#verdict, .cards, h2[id]", "(all) => all.map((one) => one.id || one.className)")
    assert order == ["verdict", "cards", "params", "misclassified", "slices", "behavior", "plots", "metrics"]
    links = page.eval_on_selector_all("nav a", "(all) => all.map((one) => one.hash.slice(1))")
    assert links == order[2:]


def test_one_revision_has_a_verdict_and_commits_are_named_in_words(
    project_with_experiment: Project, pages: Path, browser: Browser
) -> None:
    metrics = json.loads((project_with_experiment.root / "data/evaluate/metrics.json").read_text())["test"]
    page = open_page(browser, pages / "one.html").page
    expect(page.locator("#verdict")).to_contain_text(
        f"main labels {metrics['accuracy']:.1%} of {metrics['rows']} test reviews"
    )
    page = open_page(browser, pages / "two.html").page
    expect(page.locator("header")).to_contain_text("HEAD: Run the pipeline")


def test_charts_take_the_colors_of_a_scheme_that_changes(pages: Path, browser: Browser) -> None:
    opened = open_page(browser, pages / "one.html")
    color = "getComputedStyle(document.querySelector('.plot svg text')).fill"
    light = opened.page.evaluate(color)
    opened.page.emulate_media(color_scheme="dark")
    opened.page.wait_for_function(f"{color} !== {light!r}", timeout=20_000)
    assert opened.errors == []
