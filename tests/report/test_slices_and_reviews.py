"""Slices and misclassified reviews of the report are those of the files."""

import csv
import io
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser

from sentiment.experiments.revisions import PREDICTIONS, Revision
from tests.project import Project
from tests.report.conftest import figures, file_at, open_page


def test_slices_and_misclassified_reviews_are_those_of_the_files(
    project_with_experiment: Project, pages: Path, browser: Browser
) -> None:
    page = open_page(browser, pages / "one.html").page
    rows = list(csv.DictReader(io.StringIO(file_at(project_with_experiment, "workspace", "metrics/test/slices.csv"))))
    shown = figures(page, "slices")
    assert list(shown) == [f"{row['slice']}/{row['value']}" for row in rows]
    for row in rows:
        primary = [f"{name}{end}" for name in ("accuracy", "f1_macro", "roc_auc") for end in ("", "_low", "_high")]
        expected = [float(row[key]) for key in ("rows", *primary) if row[key]]
        assert [float(value) for value, _ in shown[f"{row['slice']}/{row['value']}"]] == expected
    predictions = pd.read_parquet(project_with_experiment.root / "data/evaluate/test.parquet").set_index("id")
    texts = pd.read_parquet(project_with_experiment.root / "data/split/test.parquet").set_index("id")["text"]
    misclassified = figures(page, "misclassified")
    assert len(misclassified) == 10
    by_id = predictions.to_dict("index")
    for review, [(value, _)] in misclassified.items():
        row = by_id[review]
        assert row["label"] != row["predicted"]
        assert float(value) == pytest.approx(max(row["probability"], 1 - row["probability"]))
        assert texts[review] in (page.text_content(f"tr[data-row='{review}'] td.text") or "")


def test_two_revisions_show_the_reviews_that_changed_sides(
    project_with_experiment: Project, pages: Path, browser: Browser
) -> None:
    page = open_page(browser, pages / "two.html").page
    a, b = (
        pd.read_parquet(io.BytesIO(Revision(name, project_with_experiment.root).read(PREDICTIONS["val"]))).set_index(
            "id"
        )
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
    assert page.get_by_role("main").get_by_text("Accuracy by slice", exact=True).count() == 1
