"""`make site`: a broken link is an error; pages fit narrow and wide windows, and axe-core finds nothing.

The notebook runs for its page, and leaves the last commit.
"""

import json

import pytest
from playwright.sync_api import Browser

from tests.browser import WIDTHS_AND_SCHEMES, Scheme, assert_fits_and_is_accessible, open_url
from tests.project import ROOT, Project, fresh_clone

pytestmark = pytest.mark.slow

PAGES = ["index.html", "docs/architecture.html", "docs/api.html", "docs/experiments.html", "docs/notebook.html"]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone with this environment, and the site in .site/html."""
    cloned = fresh_clone(tmp_path_factory.mktemp("site") / "a clone")
    cloned.run("make", "site")
    return cloned


@pytest.mark.parametrize(("width", "scheme"), WIDTHS_AND_SCHEMES)
@pytest.mark.parametrize("page", PAGES)
def test_a_page_fits_and_is_accessible_and_asks_no_other_host(
    clone: Project, browser: Browser, page: str, width: int, scheme: Scheme
) -> None:
    opened = open_url(browser, (clone.root / ".site/html" / page).as_uri(), width, scheme)
    assert opened.requests_beyond("file:") == []
    assert_fits_and_is_accessible(opened.page)
    if page == "docs/api.html":
        assert "predict_proba" in opened.page.inner_text("main")
    opened.page.context.close()


def test_the_notebook_shows_its_outputs_and_leaves_the_last_commit(clone: Project, browser: Browser) -> None:
    opened = open_url(browser, (clone.root / ".site/html/docs/notebook.html").as_uri())
    shown, html = opened.page.inner_text("main"), opened.page.content()
    opened.page.context.close()
    metrics = json.loads((clone.root / "metrics/val.json").read_text())
    assert f"{metrics['accuracy']:.6f}" in shown
    assert "A = HEAD, B = notebook: 204 val reviews" in shown
    assert "Poor quality, I sent it back" in shown
    assert "background: rgba(" in html
    assert clone.run("git", "status", "--short").stdout == ""
    notebook = json.loads((ROOT / "docs/notebook.ipynb").read_text(encoding="utf-8"))
    assert all(cell.get("outputs", []) == [] for cell in notebook["cells"]), "outputs are not for git"


def test_a_broken_link_is_an_error(clone: Project) -> None:
    page = clone.root / "docs/serving.md"
    text = page.read_text(encoding="utf-8")
    page.write_text(f"{text}\n[nowhere](nowhere.md)\n", encoding="utf-8")
    done = clone.run("make", "site", check=False)
    page.write_text(text, encoding="utf-8")
    assert done.returncode != 0
    assert "page does not exist" in done.stderr
