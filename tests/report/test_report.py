"""`sentiment report` on a real project, read back with a browser."""

import csv
import io
import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import Project
from tests.report.conftest import open_page

CURVES = {
    "ROC curve": "metrics/plots/roc.csv",
    "Precision and recall": "metrics/plots/precision_recall.csv",
    "Calibration": "metrics/plots/calibration.csv",
    "Confusion matrix": "metrics/plots/confusion.csv",
    "Accuracy by slice": "metrics/slices.csv",
}


@pytest.fixture(scope="module")
def pages(project_with_experiment: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of two pages: one.html of the workspace, two.html of HEAD and an experiment."""
    folder = tmp_path_factory.mktemp("pages")
    report = [sys.executable, "-m", "sentiment", "report"]
    project_with_experiment.run(*report, "--output", str(folder / "one.html"))
    project_with_experiment.run(*report, "HEAD", "strict", "--output", str(folder / "two.html"))
    return folder


def file_at(project: Project, revision: str, path: str) -> str:
    if revision == "workspace":
        return (project.root / path).read_text()
    ref = revision if revision == "HEAD" else project.experiment(revision)
    return project.run("git", "show", f"{ref}:{path}").stdout


def figures(page, table: str) -> dict[str, list[tuple[str, str]]]:
    """Return the figures of a table by row: the full number behind it, and what the reader sees."""
    script = """(name) => [...document.querySelectorAll(`table[data-table=${name}] tr[data-row]`)].map((row) =>
        [row.dataset.row, [...row.querySelectorAll("data")].map((one) => [one.value, one.textContent])])"""
    return {name: [tuple(one) for one in found] for name, found in page.evaluate(script, table)}


def test_one_revision_opens_offline_and_shows_its_metrics(project_with_experiment, pages, browser):
    opened = open_page(browser, pages / "one.html")
    assert opened.errors == []
    assert [url for url in opened.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    metrics = json.loads(file_at(project_with_experiment, "workspace", "metrics/evaluate.json"))
    shown = figures(opened.page, "metrics")
    assert set(shown) == {name for name in metrics if name != "rows" and not name.endswith(("_low", "_high"))}
    for name, found in shown.items():
        expected = [metrics[key] for key in (name, f"{name}_low", f"{name}_high") if key in metrics]
        assert [float(value) for value, _ in found] == expected
        assert [text for _, text in found] == [f"{value:.4f}" for value in expected]


def test_two_revisions_stand_side_by_side(project_with_experiment, pages, browser):
    opened = open_page(browser, pages / "two.html")
    assert opened.errors == []
    told = project_with_experiment.run(sys.executable, "-m", "sentiment", "compare", "HEAD", "strict", "--json").stdout
    comparison = json.loads(told)
    assert opened.page.text_content("#verdict") == comparison["sentence"]
    of = [json.loads(file_at(project_with_experiment, name, "metrics/evaluate.json")) for name in ("HEAD", "strict")]
    difference = comparison["metrics"]["accuracy"]
    bounds = [metrics[key] for metrics in of for key in ("accuracy", "accuracy_low", "accuracy_high")]
    found = [float(value) for value, _ in figures(opened.page, "metrics")["accuracy"]]
    assert found == [*bounds, difference["difference"], difference["low"], difference["high"]]
    experiments = figures(opened.page, "experiments")
    assert list(experiments) == ["workspace", "main", "strict"]
    assert [float(value) for value, _ in experiments["main"]][:3] == bounds[:3]
    assert [float(value) for value, _ in experiments["strict"]][:3] == bounds[3:]


def test_slices_and_mistakes_are_those_of_the_files(project_with_experiment, pages, browser):
    page = open_page(browser, pages / "one.html").page
    rows = list(csv.DictReader(io.StringIO(file_at(project_with_experiment, "workspace", "metrics/slices.csv"))))
    shown = figures(page, "slices")
    assert list(shown) == [f"{row['slice']}/{row['value']}" for row in rows]
    for row in rows:
        expected = [float(row[key]) for key in ("rows", "accuracy", "accuracy_low", "accuracy_high")]
        assert [float(value) for value, _ in shown[f"{row['slice']}/{row['value']}"]] == expected
    predictions = pd.read_parquet(project_with_experiment.root / "data/evaluate/predictions.parquet").set_index("id")
    texts = pd.read_parquet(project_with_experiment.root / "data/split/test.parquet").set_index("id")["text"]
    mistakes = figures(page, "mistakes")
    assert len(mistakes) == 10
    for review, [(value, _)] in mistakes.items():
        row = predictions.loc[review]
        assert row["label"] != row["predicted"]
        assert float(value) == pytest.approx(max(row["probability"], 1 - row["probability"]))
        assert texts[review] in page.text_content(f"tr[data-row='{review}'] td.text")


def test_pictures_hold_the_points_of_the_files(project_with_experiment, pages, browser):
    page = open_page(browser, pages / "two.html").page
    drawn = dict(
        page.evaluate(
            """[...document.querySelectorAll("figure")].map((one) => [one.querySelector("figcaption").textContent,
            JSON.parse(one.querySelector("script").textContent).data.values])"""
        )
    )
    for title, path in CURVES.items():
        values = next(points for name, points in drawn.items() if name.startswith(title))
        for revision in ("HEAD", "strict"):
            expected = list(csv.DictReader(io.StringIO(file_at(project_with_experiment, revision, path))))
            points = [point for point in values if point["rev"] == revision]
            assert [{key: str(point[key]) for key in expected[0]} for point in points] == expected
    losses = [float(point["loss"]) for point in drawn["Loss by epoch"] if point["rev"] == "HEAD"]
    files = [
        file_at(project_with_experiment, "HEAD", f"metrics/train/plots/metrics/{part}/loss.tsv")
        for part in ("train", "val")
    ]
    rows = [row for text in files for row in csv.DictReader(io.StringIO(text), delimiter="\t")]
    assert losses == [float(row["loss"]) for row in rows]


@pytest.mark.parametrize("width", [380, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_narrow_and_wide_windows_by_day_and_night(pages, browser, width, scheme):
    opened = open_page(browser, pages / "two.html", width, scheme)
    assert opened.errors == []
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    measure = "(box) => [box.clientWidth, box.querySelector('svg').clientWidth]"
    boxes = opened.page.evaluate(f"[...document.querySelectorAll('.picture')].map({measure})")
    assert len(boxes) == 7
    assert all(100 < drawing <= box + 1 for box, drawing in boxes)


def test_it_can_be_read_without_seeing_the_pictures(pages, browser):
    page = open_page(browser, pages / "two.html").page
    boxes = page.evaluate("[...document.querySelectorAll('.picture')].map((box) => [box.role, box.ariaLabel])")
    assert len(boxes) == 7
    assert all(role in ("img", "graphics-document") for role, _ in boxes)  # the latter once Vega has drawn
    assert all("HEAD and strict" in label for _, label in boxes)
    assert page.evaluate("[...document.querySelectorAll('th')].every((cell) => cell.scope)")
    assert page.evaluate("document.documentElement.lang") == "en"


def test_an_unknown_revision_is_one_line(project_with_experiment):
    done = project_with_experiment.run(
        sys.executable, "-m", "sentiment", "report", "nowhere", "--output", "no.html", check=False
    )
    assert done.returncode == 1
    assert done.stderr == "error: nowhere: no such commit, branch, tag or experiment (`dvc exp list -A`)\n"
    assert not (project_with_experiment.root / "no.html").exists()
