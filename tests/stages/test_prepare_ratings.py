"""The stage `prepare` on ratings: whole, fractional, large, negative."""

import pyarrow.parquet as pq
import pytest

from tests.stages.conftest import GOOD, RunPrepare


@pytest.mark.parametrize(
    ("ratings", "dtype"),
    [
        ([-32_768, 32_767], "int16"),
        ([40_000, 100_000], "int32"),
        ([-0.9, 3.7], "double"),
        ([2, 3.5], "double"),
        ([5_000_000_000, 1], "double"),
    ],
)
def test_ratings_are_stored_in_the_first_type_that_holds_them_all(
    run_prepare: RunPrepare, ratings: list[float], dtype: str
) -> None:
    rows = "".join(f",text {number},{rating}\n" for number, rating in enumerate(ratings))
    outcome, table, _ = run_prepare(
        "Title,Review Text,Rating\n" + rows,
        rating_min=min(ratings), rating_max=max(ratings), positive_above=min(ratings), slice_columns=[],
    )  # fmt: skip
    assert outcome.status == 0, outcome.stderr
    assert [row["rating"] for row in table] == ratings
    assert [row["label"] for row in table] == [int(rating > min(ratings)) for rating in ratings]
    assert str(pq.read_schema("out/reviews.parquet").field("rating").type) == dtype


def test_ratings_of_40000_to_100000_above_30000_are_positive(run_prepare: RunPrepare) -> None:
    rows = "".join(f",text {rating},{rating}\n" for rating in (100, 40_000, 65_000, 100_000))
    _, table, _ = run_prepare(
        "Title,Review Text,Rating\n" + rows, rating_max=100_000, positive_above=30_000, slice_columns=[]
    )
    assert [row["label"] for row in table] == [0, 1, 1, 1]


def test_mean_ratings_between_whole_ones_are_kept_dropped_and_labeled_by_value(run_prepare: RunPrepare) -> None:
    content = "Title,Review Text,Rating\n,worse,-0.9\n,so so,0.5\n,better,3.7\n,best,5\n"
    _, rows, counts = run_prepare(
        content, rating_min=-1.0, rating_max=5, positive_above=0.5, drop_ratings=[0.5], slice_columns=[]
    )
    assert [(row["rating"], row["label"]) for row in rows] == [(-0.9, 0), (3.7, 1), (5.0, 1)]
    assert counts["ignored"] == 1


def test_the_id_of_a_whole_rating_is_the_same_beside_fractional_ones(run_prepare: RunPrepare) -> None:
    _, whole, _ = run_prepare(GOOD)
    _, mixed, _ = run_prepare(GOOD + ",Ok,3.5,Tops\n")
    assert [row["id"] for row in mixed[:2]] == [row["id"] for row in whole]
    assert whole[0]["id"] == "903b3b1f9e769f00"


def test_a_rating_of_another_scale_is_refused(run_prepare: RunPrepare) -> None:
    outcome, _, _ = run_prepare("Title,Review Text,Rating\n,fine,4/5\n,poor,2 out of 5\n,half,4/10\n", slice_columns=[])
    assert outcome.status == 1
    assert "row 3, column 'Rating': found '4/10', expected a number from 1 to 5" in outcome.stderr


def test_a_rating_to_drop_may_be_outside_the_scale(run_prepare: RunPrepare) -> None:
    content = "Title,Review Text,Rating\n,fine,5\n,poor,1\n,unknown,99\n"
    outcome, rows, counts = run_prepare(content, drop_ratings=[99], slice_columns=[])
    assert outcome.status == 0, outcome.stderr
    assert ([row["rating"] for row in rows], counts["ignored"]) == ([5, 1], 1)


def test_a_rating_that_says_that_there_is_none_is_missing(run_prepare: RunPrepare) -> None:
    content = "Title,Review Text,Rating\n,fine,5\n,poor,1\n,no,NULL\n,no,nan\n,no,N/A\n"
    outcome, _, _ = run_prepare(content, slice_columns=[])
    assert "row 3, column 'Rating': found 'NULL'" in outcome.stderr
    assert "on_missing_label" in outcome.stderr
    _, rows, counts = run_prepare(content, on_missing_label="drop", slice_columns=[])
    assert (len(rows), counts["no_label"]) == (2, 3)
