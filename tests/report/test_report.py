"""`sentiment report` on a real project: metrics, differences and params are those of the files."""

import json
import sys
from pathlib import Path

from playwright.sync_api import Browser

from tests.project import Project
from tests.report.conftest import figures, file_at, open_page

SPLITS = ("train", "val", "test")


NOT_SHOWN = ("rows", "slices", "reviews_seen_by_encoder", "unknown_tokens", "truncated_texts")


def test_one_revision_opens_offline_and_shows_its_metrics(
    project_with_experiment: Project, pages: Path, browser: Browser
) -> None:
    opened = open_page(browser, pages / "one.html")
    assert opened.errors == []
    assert [url for url in opened.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    metrics = json.loads(file_at(project_with_experiment, "workspace", "data/evaluate/metrics.json"))["test"]
    shown = figures(opened.page, "metrics")
    assert opened.page.get_by_role("heading", name="All test metrics").count() == 1
    assert set(shown) == {name for name in metrics if name not in NOT_SHOWN and not name.endswith(("_low", "_high"))}
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
    assert opened.page.text_content("#verdict") == comparison["sentence"]  # the names are those of git
    assert comparison["split"] == "val"
    assert f"Compared on {comparison['rows']} val reviews; " in (opened.page.text_content("header") or "")
    assert opened.page.get_by_role("heading", name="All val metrics").count() == 1
    of = [json.loads(file_at(project_with_experiment, name, "metrics/val.json")) for name in ("HEAD", "strict")]
    difference = comparison["metrics"]["accuracy"]
    bounds = [metrics[key] for metrics in of for key in ("accuracy", "accuracy_low", "accuracy_high")]
    values = [float(value) for value, _ in figures(opened.page, "metrics")["accuracy"]]
    assert values == [*bounds, difference["difference"], difference["low"], difference["high"]]
    different = opened.page.evaluate("""[...document.querySelectorAll("table[data-table=different-params] tr")].map(
        (row) => [...row.children].map((cell) => cell.textContent))""")
    assert different == [["param", "HEAD", "strict"], ["train.threshold", "0.5", "0.97"]]
    assert list(figures(opened.page, "params")) == [*SPLITS, "kept_epoch"]
    card = opened.page.text_content("[data-card=accuracy]") or ""
    assert f"difference {difference['difference']:+.4f}" in card
    assert "worse" not in card  # the sentence above says whether it is chance, by a test that is corrected


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


def test_an_unknown_revision_is_one_line(project_with_experiment: Project) -> None:
    done = project_with_experiment.run(
        sys.executable, "-m", "sentiment", "report", "nowhere", "--output", "no.html", check=False
    )
    assert done.returncode == 1
    assert done.stderr == "error: nowhere: no such commit, branch, tag or experiment (`dvc exp list -A`)\n"
    assert not (project_with_experiment.root / "no.html").exists()
