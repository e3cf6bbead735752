"""`make site`: a broken link is an error; pages fit narrow and wide windows, and axe-core finds nothing."""

import os
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser import WIDTHS_AND_SCHEMES, Scheme, assert_fits_and_is_accessible, open_url
from tests.project import ROOT, link_environment

pytestmark = pytest.mark.slow

PAGES = ["index.html", "docs/architecture.html", "docs/api.html", "docs/experiments.html"]


def make_site(clone: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    return subprocess.run(["make", "site"], cwd=clone, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with this environment, and the site in .site/html."""
    root = tmp_path_factory.mktemp("site") / "clone"
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", ROOT, root], check=True, timeout=120)
    link_environment(root)
    done = make_site(root)
    assert done.returncode == 0, done.stdout + done.stderr
    return root


@pytest.mark.parametrize(("width", "scheme"), WIDTHS_AND_SCHEMES)
@pytest.mark.parametrize("page", PAGES)
def test_a_page_fits_and_is_accessible_and_asks_no_other_host(
    clone: Path, browser: Browser, page: str, width: int, scheme: Scheme
) -> None:
    opened = open_url(browser, (clone / ".site/html" / page).as_uri(), width, scheme)
    assert opened.requests_beyond("file:") == []
    assert_fits_and_is_accessible(opened.page)
    if page == "docs/api.html":
        assert "predict_proba" in opened.page.inner_text("main")
    opened.page.context.close()


def test_a_broken_link_is_an_error(clone: Path) -> None:
    page = clone / "docs/serving.md"
    text = page.read_text(encoding="utf-8")
    page.write_text(f"{text}\n[nowhere](nowhere.md)\n", encoding="utf-8")
    done = make_site(clone)
    page.write_text(text, encoding="utf-8")
    assert done.returncode != 0
    assert "page does not exist" in done.stderr
