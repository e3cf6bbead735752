"""A real browser without a network, for looking at pages from the file system."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright


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


def open_page(browser: Browser, path: Path, width: int = 1280, scheme: Literal["light", "dark"] = "light") -> Opened:
    """Open a page offline and wait until its charts are drawn."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    opened = Opened(context.new_page())
    opened.page.on("pageerror", lambda error: opened.errors.append(str(error)))
    opened.page.on(
        "console", lambda line: opened.errors.append(line.text) if line.type in ("error", "warning") else None
    )
    opened.page.on("request", lambda request: opened.requests.append(request.url))
    opened.page.goto(path.resolve().as_uri())
    opened.page.wait_for_function(
        "[...document.querySelectorAll('.plot')].every((box) => box.querySelector('svg'))", timeout=60_000
    )
    return opened
