"""Splits by group, time and column: the value of a row decides, and what it cannot be is refused with counts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvc.utils.hydra import apply_overrides

from sentiment.common.errors import InputError, ParamsError
from sentiment.common.params import load_params
from sentiment.common.tables import SPLITS
from sentiment.data.splitting import LEFT_OUT, ColumnSplitter, SplitParams, leave_out_shared_texts
from sentiment.data.text import hash_texts
from tests.project import DEFAULTS

SHARES: dict[str, Any] = {"salt": "s", "val": 0.2, "test": 0.2}
TIME: dict[str, Any] = {"time_column": "Date", "val_from": "2024-03-01", "test_from": "2024-06-01"}


def assigned(values: list[object], **params: Any) -> list[str]:
    splitter = ColumnSplitter(SplitParams(**SHARES, **params), "reviews.parquet")
    splits = splitter.assign(values)
    splitter.check()
    return [SPLITS[split] for split in splits]


def test_all_rows_of_a_group_are_in_one_split_and_groups_have_the_shares() -> None:
    groups: list[object] = [f"product {number}" for number in range(2_000)]
    found = assigned(groups + groups[::-1], group_column="Product")
    assert found[:2_000] == found[:1_999:-1]
    assert found.count("val") / 4_000 == pytest.approx(0.2, abs=0.03)
    assert found.count("test") / 4_000 == pytest.approx(0.2, abs=0.03)
    assert assigned(groups[:3], group_column="Product") == found[:3]
    assert assigned([1, " 1 "], group_column="Product")[0] == assigned(["1"], group_column="Product")[0]


def test_a_row_belongs_to_the_time_that_its_date_is_in() -> None:
    dates: list[object] = ["2024-02-29T23:59:59", "2024-03-01", "2024-05-31", "01.06.2024", "2024-06-01T01:00+02:00"]
    assert assigned(dates, **TIME) == ["train", "val", "val", "test", "val"]


def test_a_time_format_reads_what_may_be_two_days() -> None:
    assert assigned(["04/02/2024", "02/04/2024"], **TIME, time_format="%m/%d/%Y") == ["val", "train"]


def test_a_column_says_the_split_in_the_words_that_people_use() -> None:
    names: list[object] = ["train", "TEST", " Validation ", "valid", "dev", "val"]
    assert assigned(names, column="part") == ["train", "test", "val", "val", "val", "val"]


@pytest.mark.parametrize(
    ("params", "key"), [({"group_column": "a"}, "group_column"), ({**TIME}, "time_column"), ({"column": "a"}, "column")]
)
def test_rows_without_a_value_are_an_error_with_their_number(params: dict[str, Any], key: str) -> None:
    with pytest.raises(InputError, match=rf"split\.{key} '\w+': 2 of 3 rows have no value, .*\(split\.{key}=null\)"):
        assigned([" ", "2024-01-01" if key == "time_column" else "test", None], **params)


def test_other_values_of_a_column_are_an_error_with_their_numbers() -> None:
    with pytest.raises(InputError, match=r"'holdout' \(2 rows\), 'x' \(1 rows\), expected train, val \(or validation"):
        assigned(["holdout", "train", "x", "holdout"], column="part")
    with pytest.raises(InputError, match=r" and 991 others, expected train"):
        ColumnSplitter(SplitParams(**SHARES, column="part"), "a").assign([str(number) for number in range(1_001)])


def test_a_value_that_is_no_date_is_an_error_with_its_row() -> None:
    splitter = ColumnSplitter(SplitParams(**SHARES, **TIME), "reviews.parquet")
    splitter.assign(["2024-01-01", "2024-01-02"])
    with pytest.raises(
        InputError, match=r"^reviews\.parquet: row 4, column 'Date': found 'soon', expected an ISO date"
    ):
        splitter.assign(["2024-01-01", "soon", "later"])


def test_a_text_in_several_splits_is_left_out_of_val_and_test() -> None:
    texts = ["Only train", "A", "B", "B ", "only  VAL", "A", "b", "C", "Only test", "a", "C"]
    splits = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2], np.uint8)
    assert leave_out_shared_texts(splits, hash_texts(texts)) == 5
    assert splits.tolist() == [0, 0, 0, 0, 1, LEFT_OUT, LEFT_OUT, LEFT_OUT, 2, LEFT_OUT, LEFT_OUT]


def test_no_text_is_left_out_where_each_is_in_one_split() -> None:
    splits = np.array([1, 2, 1], np.uint8)
    assert leave_out_shared_texts(splits, hash_texts(["A", "B", "a"])) == 0
    assert splits.tolist() == [1, 2, 1]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("group_column: a, column: b", "expected at most one of group_column, time_column and column, found group_c"),
        ("time_column: a", "expected val_from and test_from with time_column"),
        ("time_column: a, val_from: '2024-01-01'", "expected val_from and test_from with time_column"),
        ("val_from: '2024-01-01', test_from: '2024-02-01'", "expected time_column with val_from, or null for both"),
        ("time_format: '%Y'", "expected time_column with time_format, or null for both"),
        (
            "time_column: a, val_from: '2024-02-01', test_from: '2024-02-01'",
            "expected val_from before test_from, found",
        ),
        ("time_column: a, val_from: soon, test_from: '2024-02-01'", "split.val_from is 'soon', expected an ISO date"),
        ("time_column: a, val_from: 2024-01-01, test_from: '2024-02-01'", "expected the date in quotes"),
        ("time_column: a, val_from: 2024, test_from: '2024-02-01'", "split.val_from is 2024, expected a valid string"),
    ],
)
def test_params_that_contradict_each_other_are_refused_by_name(tmp_path: Path, keys: str, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(f"split: {{salt: s, val: 0.1, test: 0.1, {keys}}}")
    with pytest.raises(ParamsError) as refused:
        load_params(path, "split", SplitParams)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_experiment_sets_dates_without_quotes(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes((DEFAULTS / "params.yaml").read_bytes())
    apply_overrides(
        path, ["split.time_column=Date", "split.val_from=2024-01-31", "split.test_from=2024-02-01T12:30:00"]
    )
    params = load_params(path, "split", SplitParams)
    assert (params.val_from, params.test_from) == ("2024-01-31", "2024-02-01T12:30:00")
