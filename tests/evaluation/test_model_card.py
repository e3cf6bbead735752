"""The model card: the fields of Hugging Face, metrics with intervals, limitations; the pipeline writes it."""

import csv
import json
import re
from typing import Any

import pytest
import yaml

from sentiment.evaluation.model_card import render_model_card
from sentiment.head.classifier import ClassifierConfig
from tests.project import Project


def card_of(project: Project, **changes: Any) -> str:
    root = project.root
    config = ClassifierConfig.model_validate_json((root / "models/classifier/config.json").read_bytes())
    split = json.loads((root / "metrics/split.json").read_text())
    with (root / "metrics/test/slices.csv").open() as file:
        rows = list(csv.DictReader(file))
    slices = [
        row | {name: float(row[name]) for name in row if name.startswith("accuracy")} | {"rows": int(row["rows"])}
        for row in rows
    ]
    arguments = {
        "config": config,
        "split": split,
        "metrics": json.loads((root / "data/evaluate/metrics.json").read_text())["test"],
        "slices": slices,
        "behavior": json.loads((root / "data/check/behavior.json").read_text()),
    }
    return render_model_card(**arguments | changes)


def test_the_card_has_the_fields_of_hugging_face_and_metrics_with_intervals(completed_template: Project) -> None:
    card = card_of(completed_template)
    _, front, text = card.split("---\n", 2)
    fields = yaml.safe_load(front)
    assert {"pipeline_tag", "tags", "metrics", "model-index"} <= set(fields)
    assert fields["pipeline_tag"] == "text-classification"
    results = fields["model-index"][0]["results"][0]
    assert {"task", "dataset", "metrics"} == set(results)
    metrics = json.loads((completed_template.root / "metrics/test.json").read_text())
    assert {one["name"]: one["value"] for one in results["metrics"]} == {
        name: round(metrics[name], 4) for name in ("accuracy", "f1_macro", "roc_auc")
    }
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings == ["Model", "Training data", "Evaluation", "Behavior", "Limitations"]
    for title in ("accuracy", "F1, macro", "ROC AUC"):
        assert re.search(rf"^\| {title} \| 0\.\d{{4}} \| 0\.\d{{4}} to [01]\.\d{{4}} \|$", text, re.MULTILINE), title
    assert len(re.findall(r"^- ", text.split("## Limitations")[1], re.MULTILINE)) >= 5


def test_names_from_data_are_not_markup(completed_template: Project) -> None:
    row = {"slice": "a`b", "value": "x](http://evil)\n# heading", "rows": 50, "accuracy": 0.5}
    card = card_of(completed_template, slices=[row | {"accuracy_low": 0.4, "accuracy_high": 0.6}])
    assert "Accuracy for `a'b` `x](http://evil) # heading` is 0.5000 (0.4000 to 0.6000, 50 reviews)." in card


def test_the_pipeline_writes_the_card_beside_the_classifier(completed_template: Project) -> None:
    written = (completed_template.root / "models/README.md").read_text()
    assert written == card_of(completed_template)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (
            {"split_by": "text", "folds": 5},
            "Cross-validation in 5 folds: each of the 10 reviews is tested",
        ),
        ({"split_by": "text"}, "A review's split depends on its own text only. Of 9 test"),
        ({"split_by": "group", "split_column": "a`b"}, "All reviews with the same `a'b` are in one split. Of 9 test"),
        (
            {"split_by": "time", "split_column": "Date", "val_from": "2024-01-01", "test_from": "2024-02-01"},
            "those before `2024-01-01` are train, those from `2024-02-01` on test, those between the two val. Of 9",
        ),
        (
            {"split_by": "column", "split_column": "part", "rows_left_out": 1200},
            "The column `part` says which split a review is in. Left out are 1,200 reviews of val and test whose "
            "text is also in another split. Of 9 test reviews, 2 have a near duplicate in train.\n\n| split |",
        ),
    ],
)
def test_it_says_how_the_reviews_were_split(
    completed_template: Project, keys: dict[str, object], sentence: str
) -> None:
    sizes: dict[str, object] = {name: {"rows": 10} for name in ("train", "val")}
    test = {"rows": 10, "near_duplicates_checked": 9, "near_duplicates": 2}
    split = {**sizes, "test": test, "rows_left_out": 0, "folds": 0, **keys}
    assert sentence in card_of(completed_template, split=split)
