"""Charts of the report hold the points of the files and say what they show."""

import csv
import io
from pathlib import Path

from playwright.sync_api import Browser

from tests.project import Project
from tests.report.conftest import file_at, open_page

CURVES = {
    "ROC curve": "metrics/plots/roc.csv",
    "Precision and recall": "metrics/plots/precision_recall.csv",
    "Calibration": "metrics/plots/calibration.csv",
    "Confusion matrix": "metrics/plots/confusion.csv",
    "Accuracy by slice": "metrics/slices.csv",
}


def test_plots_hold_the_points_of_the_files(project_with_experiment: Project, pages: Path, browser: Browser) -> None:
    page = open_page(browser, pages / "two.html").page
    drawn = dict(
        page.evaluate(
            """[...document.querySelectorAll("script.spec")].map((one) => [one.dataset.title,
            JSON.parse(one.textContent).data.values])"""
        )
    )
    for title, path in CURVES.items():
        values = next(points for name, points in drawn.items() if name.startswith(title))
        for revision in ("HEAD", "strict"):
            expected = list(csv.DictReader(io.StringIO(file_at(project_with_experiment, revision, path))))
            points = [point for point in values if point["rev"] == revision]
            assert [{key: str(point[key]) for key in expected[0]} for point in points] == expected
    losses = [float(point["loss"]) for point in drawn["Loss by L2 penalty or epoch"] if point["rev"] == "HEAD"]
    rows = list(csv.DictReader(io.StringIO(file_at(project_with_experiment, "HEAD", "metrics/train/loss.csv"))))
    assert losses == [float(row["loss"]) for row in rows]


def test_charts_have_descriptions(pages: Path, browser: Browser) -> None:
    page = open_page(browser, pages / "two.html").page
    boxes = page.evaluate("[...document.querySelectorAll('.plot')].map((box) => [box.role, box.ariaLabel])")
    assert len(boxes) == 7
    assert all(role in ("img", "graphics-document") for role, _ in boxes)  # the latter once Vega has drawn
    assert all("HEAD and strict" in label for _, label in boxes)
    assert page.evaluate("[...document.querySelectorAll('th')].every((cell) => cell.scope)")
    assert page.evaluate("document.documentElement.lang") == "en"
