"""`sentiment init` says how reviews can be split by time or by a column, and writes it where --split-by says so."""

import csv
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sentiment.common.errors import InputError
from sentiment.data import profile as profile_module
from sentiment.data.profile import profile
from sentiment.data.proposal import BY_TEXT, Choices, Proposal, UndecidedError, propose
from sentiment.data.readers import FileFormat
from sentiment.data.splitting import ColumnSplitter, SplitParams

N_ROWS = 100
FIRST = datetime(2024, 1, 1, 12, tzinfo=UTC)
DAYS = [FIRST + timedelta(days=number) for number in range(N_ROWS)]
SPLITS = [("train", "Train", "validation", "test")[number % 4] for number in range(N_ROWS)]

Propose = Callable[..., Proposal]


@pytest.fixture
def proposal_of(tmp_path: Path) -> Propose:
    """Write a table with a column of values that comes beside texts and ratings; propose params for it."""

    def call(name: str, values: list[str], split_by: str | None = None, time_format: str | None = None) -> Proposal:
        with (tmp_path / "reviews.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "stars", name])
            writer.writerows([f"Fits well, number {row}", 1 + row % 5, value] for row, value in enumerate(values))
        return propose(
            profile(tmp_path / "reviews.csv", FileFormat(), time_column=split_by if time_format else None),
            Choices(split_by=split_by, time_format=time_format),
        )

    return call


@pytest.mark.parametrize(
    ("form", "layout"),
    [("%Y-%m-%d", None), ("%Y-%m-%dT%H:%M:%S", None), ("%d.%m.%Y", None), ("%m/%d/%Y", "%m/%d/%Y"),
     ("%d/%m/%Y", "%d/%m/%Y"), ("%B %d, %Y", "%B %d, %Y"), ("%s", None)],
)  # fmt: skip
def test_dates_of_many_forms_give_the_days_at_80_and_90_percent(
    proposal_of: Propose, form: str, layout: str | None
) -> None:
    written = [str(int(day.timestamp())) if form == "%s" else day.strftime(form) for day in DAYS]
    noted = proposal_of("Review date", written)
    shown = "split.val_from 2024-03-21, split.test_from 2024-03-31"
    assert any(shown in note and "--split-by 'Review date'" in note for note in noted.notes)
    assert (noted.split, noted.params["slice_columns"]) == ({**BY_TEXT, "folds": 5}, [])
    chosen = proposal_of("Review date", written, split_by="Review date")
    expected = {"time_column": "Review date", "val_from": "2024-03-21", "test_from": "2024-03-31"}
    assert chosen.split == {**BY_TEXT, **expected, "time_format": layout}
    assert (chosen.params["slice_columns"], chosen.slices) == (["Review date"], ["rating", "length"])
    params = SplitParams.model_validate_json(json.dumps({"salt": "s", "val": 0.1, "test": 0.1, **chosen.split}))
    splits = ColumnSplitter(params, "reviews.csv").assign(written)
    assert [splits.tolist().count(split) for split in range(3)] == [80, 10, 10]


def test_dates_that_may_be_other_days_are_a_question(proposal_of: Propose) -> None:
    written = [f"{1 + row // 10:02}/{1 + row % 12:02}/2024" for row in range(N_ROWS)]
    assert any("split.time_format %m/%d/%Y or %d/%m/%Y" in note for note in proposal_of("Date", written).notes)
    with pytest.raises(UndecidedError, match=r"such as '01/02/2024': is their --time-format ") as raised:
        proposal_of("Date", written, split_by="Date")
    assert list(raised.value.values) == ["%m/%d/%Y", "%d/%m/%Y"]
    for layout, first in (("%m/%d/%Y", "2024-09-01"), ("%d/%m/%Y", "2024-10-06")):
        chosen = proposal_of("Date", written, split_by="Date", time_format=layout)
        assert (chosen.split["val_from"], chosen.split["time_format"]) == (first, layout)


def test_a_column_that_says_train_val_and_test(proposal_of: Propose) -> None:
    noted = proposal_of("part", SPLITS)
    assert any("--split-by 'part': split.column part" in note for note in noted.notes)
    chosen = proposal_of("part", SPLITS, split_by="part")
    assert chosen.split == {**BY_TEXT, "column": "part"}
    assert "part" not in chosen.slices
    no_val = proposal_of("part", [name.replace("validation", "test") for name in SPLITS])
    assert not any("--split-by" in note for note in no_val.notes)


def test_another_column_is_one_of_groups_and_is_not_proposed(proposal_of: Propose) -> None:
    products = [f"P{row % 37}" for row in range(N_ROWS)]
    assert not any("--split-by" in note for note in proposal_of("product", products).notes)
    chosen = proposal_of("product", [*products[:-2], "", ""], split_by="product")
    assert chosen.split == {**BY_TEXT, "group_column": "product", "folds": 5}
    assert chosen.params["slice_columns"] == ["product"]
    assert "'product' has 37 groups, each of which is in one split; 2 rows have no value, and stop the stage" in (
        " ".join(chosen.notes)
    )


@pytest.mark.parametrize(
    "values",
    [["2024-01-01", "soon"] * 50, ["2024-01-01"] * 100, ["01/02/2024", "31/01/2024", "01/31/2024", "05/05/2024"] * 25],
)
def test_what_is_not_wholly_dates_is_not_proposed(proposal_of: Propose, values: list[str]) -> None:
    assert not any("--split-by" in note for note in proposal_of("Date", values).notes)


@pytest.mark.parametrize("name", ["text", "stars", "id"])
def test_text_label_and_names_of_the_pipeline_are_refused(proposal_of: Propose, name: str) -> None:
    with pytest.raises(InputError, match=rf"column '{name}' is text or label, or has a name of the pipeline"):
        proposal_of("id" if name == "id" else "product", SPLITS, split_by=name)


def test_of_many_dates_some_are_kept(proposal_of: Propose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile_module, "MAX_DATES", 30)
    chosen = proposal_of("Date", [day.strftime("%Y-%m-%d") for day in DAYS], split_by="Date")
    assert "2024-03-15" < str(chosen.split["val_from"]) < str(chosen.split["test_from"]) < "2024-04-05"


@pytest.mark.parametrize("layout", ["%m/%d/%y", "%d.%m.%y", "%d %b %Y", "Reviewed on %B %d, %Y"])
def test_dates_of_a_form_that_only_a_person_knows(proposal_of: Propose, layout: str) -> None:
    chosen = proposal_of("written", [day.strftime(layout) for day in DAYS], "written", layout)
    expected = {"time_column": "written", "val_from": "2024-03-21", "test_from": "2024-03-31", "time_format": layout}
    assert expected.items() <= chosen.split.items()


@pytest.mark.parametrize(
    ("values", "layout", "message"),
    [
        ([f"{day:%d/%m/%Y}" for day in DAYS], "%m/%d/%Y", "column 'Date': '13/01/2024' is no date by '%m/%d/%Y'"),
        ([*(f"{day:%Y-%m-%d}" for day in DAYS[1:]), "unknown"], None, "column 'Date': 'unknown' is no date"),
        ([f"product {number % 7}" for number in range(N_ROWS)], "%Y", "column 'Date': 'product 0' is no date by '%Y'"),
    ],
)
def test_one_value_that_is_no_date_stops_a_split_by_time(
    proposal_of: Propose, values: list[str], layout: str | None, message: str
) -> None:
    """A split by groups would put the future into train."""
    with pytest.raises(InputError, match=re.escape(message)):
        proposal_of("Date", values, "Date", layout)
