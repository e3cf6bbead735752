"""The section of the report about behavioral tests."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.project import Project
from tests.report.conftest import figures, file_at, open_page


def test_the_rates_are_those_of_the_file(project_with_experiment: Project, pages: Path, browser: Browser) -> None:
    page = open_page(browser, pages / "one.html").page
    written = json.loads(file_at(project_with_experiment, "workspace", "data/check/behavior.json"))
    shown = figures(page, "behavior")
    assert list(shown) == list(written)
    for kind, cells in shown.items():
        assert [float(value) for value, _ in cells] == [written[kind][key] for key in ("failure_rate", "low", "high")]
    failures = [one["text"] for kind in written.values() for one in kind["examples"] if one["failed"]]
    assert page.locator("table[data-table=failures] tbody tr").count() == len(failures) > 0


@pytest.mark.slow
def test_a_revision_without_the_stage_shows_no_section(completed_project: Project) -> None:
    (completed_project.root / "data/check/behavior.json").unlink()
    completed_project.run("sentiment", "report")
    assert 'id="behavior"' not in (completed_project.root / "report.html").read_text()
