"""`sentiment insights`: what it finds in a table, where its labels are from, files, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from sentiment.inference.classifier import SentimentClassifier
from tests.insights.conftest import N_REVIEWS, Call


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def test_a_complaint_with_its_slice_and_its_month(call: Call, reviews: Path) -> None:
    status, out, log = call(str(reviews), "--by", "Department", "--time", "day", "--positive", "--json", "i.json")
    assert (status, "insights: i.json" in log) == (0, True)
    assert "480 reviews, 120 of them (25.0%) negative by column Rating" in out
    assert "Left out: 1 without text, 1 without label" in out
    content = read(reviews.parent / "i.json")
    assert content["label_source"] == "Rating"
    found = {row["phrase"]: row for row in content["labels"]["negative"]["findings"]}
    assert found
    for row in found.values():
        assert (row["reviews"], row["share"], row["other_share"]) == (120, 1.0, 0.0)
        assert row["contribution"] < 0
        assert (row["where"]["value"], row["where"]["other_share"]) == ("Tops", 0.0)
        assert (row["since"]["value"], row["since"]["other_share"]) == ("2024-07", 0.0)
        assert row["phrase"] in row["examples"][0].lower()
    tops = {group["value"]: group for group in content["labels"]["negative"]["slices"]["Department"]}
    assert (tops["Tops"]["reviews"], tops["Tops"]["labeled"], tops["Dresses"]["labeled"]) == (240, 120, 0)
    assert [month["labeled"] for month in content["labels"]["negative"]["months"]] == [0] * 6 + [20] * 6
    assert {row["phrase"] for row in content["labels"]["positive"]["findings"]} == {"fits perfectly"}


def test_totals_of_contributions_add_up(call: Call, reviews: Path) -> None:
    assert call(str(reviews), "--json", "i.json")[0] == 0
    totals = read(reviews.parent / "i.json")["contributions"]
    assert totals["bias"] + totals["special_tokens"] + totals["words"] == pytest.approx(totals["logits"], abs=1e-6)


def test_without_a_column_of_labels_the_classifier_labels(
    call: Call, reviews: Path, sentiment: SentimentClassifier
) -> None:
    status, out, _ = call(str(reviews), "--labels", "predicted", "--json", "i.json")
    assert status == 0
    assert "negative as the classifier predicts" in out
    (reviews.parent / "params.yaml").unlink()
    assert call(str(reviews), "--json", "j.json")[1] == out
    content = read(reviews.parent / "i.json")
    assert content["label_source"] is None
    assert content["reviews"] == N_REVIEWS + 1


def test_labels_in_words_are_read_as_training_reads_them(call: Call, tmp_path: Path) -> None:
    rows = ["Title,verdict,Review Text", "T,so,It arrived"]
    rows += [f"T,{'bad,Poor quality' if index % 4 else 'GOOD,I love it'}" for index in range(80)]
    (tmp_path / "reviews.csv").write_text("\n".join(rows) + "\n")
    section = "label_column: verdict, positive: [good], negative: [bad], ignore: [so]"
    (tmp_path / "params.yaml").write_text(f"prepare: {{{section}}}\n")
    status, out, _ = call("reviews.csv")
    assert status == 0, out
    assert "80 reviews, 60 of them (75.0%) negative by column verdict" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--by", "Brand"], "no column 'Brand'; found Title, Review Text, Rating, Department, day"),
        (["--time-format", "%d.%m.%Y"], "--time-format is of the dates of --time"),
        (["--time", "Department"], "column 'Department' has no date: found 'Dresses'"),
    ],
)
def test_a_column_that_is_missing_or_has_no_dates_is_refused(
    call: Call, reviews: Path, arguments: list[str], message: str
) -> None:
    status, _, log = call(str(reviews), *arguments)
    assert (status, message in log) == (1, True)


def test_what_is_no_file_is_refused(call: Call) -> None:
    status, _, log = call("a dress that I love")
    assert (status, "no such file; expected a file of reviews" in log) == (1, True)


def test_the_terminal_gets_no_control_characters(call: Call, reviews: Path) -> None:
    reviews.write_text(reviews.read_text().replace("fabric", "fabric \x1b[31m"))
    assert "\x1b" not in call(str(reviews))[1]


@pytest.mark.parametrize("content", ["prepare:\n", "- prepare\n", "prepare: 5\n", ""])
def test_params_without_a_section_name_no_column(call: Call, reviews: Path, content: str) -> None:
    (reviews.parent / "params.yaml").write_text(content)
    status, out, _ = call(str(reviews))
    assert status == 0
    assert "negative as the classifier predicts" in out
