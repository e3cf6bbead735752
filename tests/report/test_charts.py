"""Charts of the report hold the points of the files and say what they show."""

import csv
import io
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.project import Project
from tests.report.conftest import file_at, open_page

CURVES = {
    "ROC curve": "metrics/plots/roc.csv",
    "Precision and recall": "metrics/plots/precision_recall.csv",
    "Calibration": "metrics/plots/calibration.csv",
    "Confusion matrix": "metrics/plots/confusion.csv",
    "Accuracy by slice": "metrics/slices.csv",
}


def points_of(page: Page) -> dict[str, list[dict[str, object]]]:
    """Return the points of each chart by its title."""
    script = """[...document.querySelectorAll("script.spec")].map((one) => [one.dataset.title,
        JSON.parse(one.textContent).data.values])"""
    return dict(page.evaluate(script))


@pytest.mark.parametrize(
    ("name", "split", "revisions"),
    [("one.html", "test", {"workspace": "main"}), ("two.html", "val", {"HEAD": "HEAD", "strict": "strict"})],
)
def test_curves_hold_the_points_of_the_files_of_the_split(
    project_with_experiment: Project, pages: Path, browser: Browser, name: str, split: str, revisions: dict[str, str]
) -> None:
    drawn = points_of(open_page(browser, pages / name).page)
    for title, path in CURVES.items():
        shown, values = next((shown, points) for shown, points in drawn.items() if shown.startswith(title))
        assert f"{split} reviews" in shown
        file = path.replace("metrics/", "metrics/test/") if split == "test" else path
        for revision, of in revisions.items():
            expected = list(csv.DictReader(io.StringIO(file_at(project_with_experiment, revision, file))))
            points = [point for point in values if point["rev"] == of]
            assert [{key: str(point[key]) for key in expected[0]} for point in points] == expected


def test_losses_are_those_of_the_file(project_with_experiment: Project, pages: Path, browser: Browser) -> None:
    drawn = points_of(open_page(browser, pages / "two.html").page)
    losses = [float(str(point["loss"])) for point in drawn["Loss by L2 penalty or epoch"] if point["rev"] == "HEAD"]
    rows = list(csv.DictReader(io.StringIO(file_at(project_with_experiment, "HEAD", "metrics/train/loss.csv"))))
    assert losses == [float(row["loss"]) for row in rows]


def test_charts_have_descriptions(pages: Path, browser: Browser) -> None:
    page = open_page(browser, pages / "two.html").page
    boxes = page.evaluate("[...document.querySelectorAll('.plot')].map((box) => [box.role, box.ariaLabel])")
    assert len(boxes) == 8
    assert all(role in ("img", "graphics-document") for role, _ in boxes)  # the latter once Vega has drawn
    assert all("HEAD and strict" in label for _, label in boxes)
    assert page.evaluate("[...document.querySelectorAll('th')].every((cell) => cell.scope)")
    assert page.evaluate("document.documentElement.lang") == "en"
