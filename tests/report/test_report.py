"""`sentiment report` on a real project, read in a browser."""

import csv
import io
import json
import sys
from pathlib import Path
from typing import Literal

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page

from sentiment.tracking.comparison import PREDICTIONS
from sentiment.tracking.revisions import Revision
from tests.conftest import Project
from tests.report.conftest import open_page

SPLITS = ("train", "val", "test")
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


def figures(page: Page, table: str) -> dict[str, list[tuple[str, str]]]:
    """Return the numbers of a table by row: in full precision, and as shown."""
    script = """(name) => [...document.querySelectorAll(`table[data-table=${name}] tr[data-row]`)].map((row) =>
        [row.dataset.row, [...row.querySelectorAll("data")].map((one) => [one.value, one.textContent])])"""
    return {name: [tuple(one) for one in cells] for name, cells in page.evaluate(script, table)}


def test_one_revision_opens_offline_and_shows_its_metrics(
    project_with_experiment: Project, pages: Path, browser: Browser
) -> None:
    opened = open_page(browser, pages / "one.html")
    assert opened.errors == []
    assert [url for url in opened.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    metrics = json.loads(file_at(project_with_experiment, "workspace", "data/evaluate/metrics.json"))
    shown = figures(opened.page, "metrics")
    assert set(shown) == {
        name
        for name in metrics
        if name not in ("rows", "by_label", "test_reviews_seen_by_encoder") and not name.endswith(("_low", "_high"))
    }
    for name, cells in shown.items():
        expected = [metrics[key] for key in (name, f"{name}_low", f"{name}_high") if key in metrics]
        assert [float(value) for value, _ in cells] == expected
        assert [text for _, text in cells] == [f"{value:.4f}" for value in expected]


def test_two_revisions_stand_side_by_side(project_with_experiment: Project, pages: Path, browser: Browser) -> None:
    opened = open_page(browser, pages / "two.html")
    assert opened.errors == []
    output = project_with_experiment.run(
        sys.executable, "-m", "sentiment", "compare", "HEAD", "strict", "--json"
    ).stdout
    comparison = json.loads(output)
    assert opened.page.text_content("#verdict") == comparison["sentence"]
    of = [json.loads(file_at(project_with_experiment, name, "metrics/evaluate.json")) for name in ("HEAD", "strict")]
    difference = comparison["metrics"]["accuracy"]
    bounds = [metrics[key] for metrics in of for key in ("accuracy", "accuracy_low", "accuracy_high")]
    values = [float(value) for value, _ in figures(opened.page, "metrics")["accuracy"]]
    assert values == [*bounds, difference["difference"], difference["low"], difference["high"]]
    different = opened.page.evaluate("""[...document.querySelectorAll("table[data-table=params] tr[data-row]")].map(
        (row) => [...row.children].map((cell) => cell.textContent))""")
    assert different[0] == ["train.threshold", "0.5", "0.97"]
    assert [row[0] for row in different] == [
        "train.threshold",
        *(f"{split} reviews" for split in SPLITS),
        "epoch of the head that is kept",
    ]
    assert "▼ worse" in (opened.page.text_content("[data-card=accuracy]") or "")
    experiments = figures(opened.page, "experiments")
    assert list(experiments) == ["workspace", "main", "strict"]
    assert [float(value) for value, _ in experiments["main"]][:3] == bounds[:3]
    assert [float(value) for value, _ in experiments["strict"]][:3] == bounds[3:]


def test_slices_and_misclassified_reviews_are_those_of_the_files(
    project_with_experiment: Project, pages: Path, browser: Browser
) -> None:
    page = open_page(browser, pages / "one.html").page
    rows = list(csv.DictReader(io.StringIO(file_at(project_with_experiment, "workspace", "metrics/slices.csv"))))
    shown = figures(page, "slices")
    assert list(shown) == [f"{row['slice']}/{row['value']}" for row in rows]
    for row in rows:
        expected = [float(row[key]) for key in ("rows", "accuracy", "accuracy_low", "accuracy_high")]
        assert [float(value) for value, _ in shown[f"{row['slice']}/{row['value']}"]] == expected
    predictions = pd.read_parquet(project_with_experiment.root / "data/evaluate/predictions.parquet").set_index("id")
    texts = pd.read_parquet(project_with_experiment.root / "data/split/test.parquet").set_index("id")["text"]
    misclassified = figures(page, "misclassified")
    assert len(misclassified) == 10
    by_id = predictions.to_dict("index")
    for review, [(value, _)] in misclassified.items():
        row = by_id[review]
        assert row["label"] != row["predicted"]
        assert float(value) == pytest.approx(max(row["probability"], 1 - row["probability"]))
        assert texts[review] in (page.text_content(f"tr[data-row='{review}'] td.text") or "")


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
    losses = [
        float(point["loss"])
        for point in drawn["Loss by epoch (dashed: the epoch that is kept)"]
        if point["rev"] == "HEAD"
    ]
    rows = list(csv.DictReader(io.StringIO(file_at(project_with_experiment, "HEAD", "metrics/train/loss.csv"))))
    assert losses == [float(row["loss"]) for row in rows]


@pytest.mark.parametrize("width", [420, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_narrow_and_wide_windows_in_light_and_dark(
    pages: Path, browser: Browser, width: int, scheme: Literal["light", "dark"]
) -> None:
    opened = open_page(browser, pages / "two.html", width, scheme)
    assert opened.errors == []
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    measure = "(box) => [box.clientWidth, box.querySelector('svg').clientWidth]"
    boxes = opened.page.evaluate(f"[...document.querySelectorAll('.plot')].map({measure})")
    assert len(boxes) == 9
    assert all(100 < drawing <= box + 1 for box, drawing in boxes)


def test_charts_have_descriptions(pages: Path, browser: Browser) -> None:
    page = open_page(browser, pages / "two.html").page
    boxes = page.evaluate("[...document.querySelectorAll('.plot')].map((box) => [box.role, box.ariaLabel])")
    assert len(boxes) == 9
    assert all(role in ("img", "graphics-document") for role, _ in boxes)  # the latter once Vega has drawn
    assert all("HEAD and strict" in label for _, label in boxes)
    assert page.evaluate("[...document.querySelectorAll('th')].every((cell) => cell.scope)")
    assert page.evaluate("document.documentElement.lang") == "en"


def test_an_unknown_revision_is_one_line(project_with_experiment: Project) -> None:
    done = project_with_experiment.run(
        sys.executable, "-m", "sentiment", "report", "nowhere", "--output", "no.html", check=False
    )
    assert done.returncode == 1
    assert done.stderr == "error: nowhere: no such commit, branch, tag or experiment (`dvc exp list -A`)\n"
    assert not (project_with_experiment.root / "no.html").exists()


def test_two_revisions_show_the_reviews_that_changed_sides(
    project_with_experiment: Project, pages: Path, browser: Browser
) -> None:
    page = open_page(browser, pages / "two.html").page
    a, b = (
        pd.read_parquet(io.BytesIO(Revision(name, project_with_experiment.root).read(PREDICTIONS))).set_index("id")
        for name in ("HEAD", "strict")
    )
    is_correct_a, is_correct_b = a["label"] == a["predicted"], b["label"] == b["predicted"]
    for title, changed in (
        ("Wrong in strict, correct in HEAD", is_correct_a & ~is_correct_b),
        ("Wrong in HEAD, correct in strict", is_correct_b & ~is_correct_a),
    ):
        rows = page.eval_on_selector_all(
            f"[aria-label='{title}'] tr[data-row]", "(all) => all.map((row) => row.dataset.row)"
        )
        assert len(rows) == min(10, changed.sum())
        assert all(changed[review] for review in rows)


def test_slices_have_a_difference_column_and_plain_lengths(pages: Path, browser: Browser) -> None:
    page = open_page(browser, pages / "two.html").page
    for key, cells in figures(page, "slices").items():
        numbers = [float(value) for value, _ in cells]
        assert numbers[-1] == pytest.approx(numbers[4] - numbers[1]), key
    assert "1-20 words" in (page.text_content("table[data-table=slices]") or "")
    assert page.eval_on_selector_all("text='Accuracy by slice'", "(all) => all.length") == 1


def test_one_revision_shows_its_params_sizes_and_kept_epoch(
    project_with_experiment: Project, pages: Path, browser: Browser
) -> None:
    page = open_page(browser, pages / "one.html").page
    numbers = figures(page, "params")
    split = json.loads(file_at(project_with_experiment, "workspace", "metrics/split.json"))
    assert [float(numbers[name][0][0]) for name in SPLITS] == [split[name]["rows"] for name in SPLITS]
    best = json.loads(file_at(project_with_experiment, "workspace", "metrics/train/metrics.json"))["best"]
    assert [float(value) for value, _ in numbers["kept_epoch"]] == [best["epoch"], best["val_loss"]]
    assert "0.001" in (page.text_content("table[data-table=all-params] tr[data-row='train.learning_rate']") or "")


def test_the_histogram_counts_every_review_and_the_curve_passes_through_the_metrics(
    project_with_experiment: Project, pages: Path, browser: Browser
) -> None:
    page = open_page(browser, pages / "one.html").page
    read = "(all) => Object.fromEntries(all.map((one) => [one.dataset.title, JSON.parse(one.textContent).data.values]))"
    charts = page.eval_on_selector_all("script.spec", read)
    metrics = json.loads(file_at(project_with_experiment, "workspace", "data/evaluate/metrics.json"))
    assert sum(bar["reviews"] for bar in charts["Probability of positive by actual label"]) == metrics["rows"]
    points = charts["Accuracy, precision and recall by threshold"]
    at_half = {point["metric"]: point["value"] for point in points if abs(point["threshold"] - 0.5) < 1e-9}
    assert at_half == pytest.approx({name: metrics[name] for name in at_half})
