"""The page of `sentiment insights` in a browser: it fits, is accessible, and runs nothing of what reviews contain."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from sentiment.insights.page import pieces
from tests.browser import WIDTHS_AND_SCHEMES, assert_fits_and_is_accessible, open_url
from tests.insights.conftest import EVIL, Call


@pytest.fixture
def page_file(call: Call, reviews: Path) -> Path:
    assert call(str(reviews), "--by", "Department", "--time", "day", "--positive", "--html", "i.html")[0] == 0
    return reviews.parent / "i.html"


def test_the_page_fits_and_runs_no_text(browser: Browser, page_file: Path) -> None:
    for width, scheme in WIDTHS_AND_SCHEMES:
        opened = open_url(browser, page_file.as_uri(), width, scheme, offline=True)
        assert_fits_and_is_accessible(opened.page)
        assert opened.page.evaluate("window.run") is None
        assert opened.errors == []
        assert opened.page.evaluate("document.querySelectorAll('img, script').length") == 0
    examples = opened.page.locator("td.text q").all_text_contents()
    assert any(EVIL in example for example in examples)
    assert opened.page.locator("td.text mark").count() > 0


def test_a_phrase_is_marked_as_it_stands_in_the_example() -> None:
    assert pieces("It\u2019s NOT - soft", "not soft") == [("It\u2019s ", False), ("NOT - soft", True)]
    assert pieces("It isn\u2019t soft.", "isn't soft") == [("It ", False), ("isn\u2019t soft", True), (".", False)]
    assert pieces("nothing here", "zipper") == [("nothing here", False)]
