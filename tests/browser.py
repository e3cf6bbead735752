"""A real browser, one for all tests of a process: pages, what went wrong on them, what they asked for, axe-core."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

Scheme = Literal["light", "dark"]
WIDTHS_AND_SCHEMES: list[tuple[int, Scheme]] = [(1400, "light"), (1400, "dark"), (360, "light"), (360, "dark")]


def browser_path() -> str:
    """Find Chromium: the variable CHROMIUM or the PATH; without one the tests skip, but never in CI."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found:
        return found
    reason = "no Chromium: install one (Debian: apt-get install chromium) or name it in the variable CHROMIUM"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium; a second one in the same process would find Playwright's event loop running."""
    path = browser_path()
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=arguments)
        yield chromium
        chromium.close()


@dataclass
class Opened:
    """A page, its errors and warnings, and the addresses that it requested."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def requests_beyond(self, *prefixes: str) -> list[str]:
        """Return the requests for other addresses than these, and than what the page holds itself."""
        return [url for url in self.requests if not url.startswith((*prefixes, "data:", "blob:"))]


def open_url(browser: Browser, url: str, width: int = 1400, scheme: Scheme = "light", offline: bool = False) -> Opened:
    """Open an address in a window and with a profile of its own."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=offline)
    opened = Opened(context.new_page())
    opened.page.on("pageerror", lambda error: opened.errors.append(str(error)))
    opened.page.on(
        "console", lambda line: opened.errors.append(line.text) if line.type in ("error", "warning") else None
    )
    opened.page.on("request", lambda request: opened.requests.append(request.url))
    opened.page.goto(url)
    return opened


def assert_fits_and_is_accessible(page: Page) -> None:
    """Fail where the page is wider than the window, or axe-core finds a violation."""
    assert page.viewport_size is not None
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
