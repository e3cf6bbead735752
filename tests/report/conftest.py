"""Two pages of a real project, read in a browser without a network."""

import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser import Opened, Scheme, open_url
from tests.project import Project


@pytest.fixture(scope="session")
def pages(project_with_experiment: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of two pages: one.html of the workspace, two.html of HEAD and an experiment."""
    folder = tmp_path_factory.mktemp("pages")
    report = [sys.executable, "-m", "sentiment", "report"]
    project_with_experiment.run(*report, "--output", str(folder / "one.html"))
    project_with_experiment.run(*report, "HEAD", "strict", "--output", str(folder / "two.html"))
    return folder


def open_page(browser: Browser, path: Path, width: int = 1280, scheme: Scheme = "light") -> Opened:
    """Open a page offline and wait until its charts are drawn."""
    opened = open_url(browser, path.resolve().as_uri(), width, scheme, offline=True)
    opened.page.wait_for_function(
        "[...document.querySelectorAll('.plot')].every((box) => box.querySelector('svg'))", timeout=60_000
    )
    return opened


def file_at(project: Project, revision: str, path: str) -> str:
    """Return the content of a file of a revision, without the project's own code."""
    if revision == "workspace":
        return (project.root / path).read_text()
    ref = revision if revision == "HEAD" else project.experiment(revision)
    return project.run("git", "show", f"{ref}:{path}").stdout


def figures(page: Page, table: str) -> dict[str, list[tuple[str, str]]]:
    """Return the numbers of a table by row: in full precision, and as shown."""
    script = """(name) => [...document.querySelectorAll(`table[data-table=${name}] tr[data-row]`)].map((row) =>
        [row.dataset.row, [...row.querySelectorAll("data")].map((one) => [one.value, one.textContent])])"""
    return {name: [tuple(one) for one in cells] for name, cells in page.evaluate(script, table)}
