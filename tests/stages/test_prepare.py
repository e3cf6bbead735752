"""The stage `prepare`: raw reviews to a clean table, counts, and refusals."""

from pathlib import Path

import pytest

from tests.stages.conftest import GOOD, HEADER, RunPrepare


def test_a_row_becomes_text_label_rating_and_slices(run_prepare: RunPrepare) -> None:
    _, rows, counts = run_prepare(GOOD)
    assert [row["text"] for row in rows] == ["Nice. Soft, and warm", "Too big"]
    assert [row["label"] for row in rows] == [1, 0]
    assert [row["rating"] for row in rows] == [5, 2]
    assert [row["Department Name"] for row in rows] == ["Tops", "Tops"]
    assert counts == {
        "rows": 2, "empty_text": 0, "with_text": 2, "no_label": 0, "ignored": 0, "repeated": 0, "kept": 2,
        "positive_share": 0.5,
    }  # fmt: skip


def test_every_excluded_row_is_counted_by_reason(run_prepare: RunPrepare) -> None:
    repeated = ",Too big,2,Skirts\n,Too big,2,Tops\n,Too big,1,Tops\n"  # the last has another rating
    empty = 'Only a title,"  ",5,Tops\n,,4,Tops\n'
    dropped = ",So so,3,Tops\n"
    _, rows, counts = run_prepare(GOOD + repeated + empty + dropped, drop_ratings=[3])
    assert [(row["text"], row["rating"]) for row in rows] == [
        ("Nice. Soft, and warm", 5),
        ("Too big", 2),
        ("Too big", 1),
    ]
    assert counts["rows"] == 8
    assert (counts["empty_text"], counts["ignored"], counts["repeated"], counts["kept"]) == (2, 1, 2, 3)


def test_ids_do_not_depend_on_other_rows(run_prepare: RunPrepare) -> None:
    _, rows, _ = run_prepare(GOOD)
    header, first, second, _ = GOOD.split("\n")
    _, turned, _ = run_prepare("\n".join([header, "A,new one,4,Tops", second, first, ""]))
    ids = {row["text"]: row["id"] for row in turned}
    assert all(ids[row["text"]] == row["id"] for row in rows)
    assert len(set(ids.values())) == 3


def test_null_and_na_stay_text(run_prepare: RunPrepare) -> None:
    _, rows, _ = run_prepare(GOOD + "null,NA,1,None\n")
    assert rows[-1]["text"] == "null. NA"
    assert rows[-1]["Department Name"] == "None"


def test_line_ends_inside_a_text_are_kept(run_prepare: RunPrepare) -> None:
    _, rows, _ = run_prepare(GOOD.replace("\n", "\r\n") + '"x","one\rtwo\r\nthree",1,Tops\r\n')
    assert rows[-1]["text"] == "x. one\rtwo\r\nthree"


def test_a_byte_order_mark_and_ratings_such_as_5_0_are_accepted(run_prepare: RunPrepare) -> None:
    outcome, rows, _ = run_prepare(b"\xef\xbb\xbf" + GOOD.replace(",5,", ",5.0,").encode())
    assert outcome.status == 0
    assert rows[0]["rating"] == 5


def test_columns_and_rating_range_come_from_params(run_prepare: RunPrepare) -> None:
    outcome, rows, _ = run_prepare(
        "stars;x,body\n9,bad\n70,good\n".replace(";x", ""),
        text_columns=["body"], rating_column="stars", rating_min=0, rating_max=100, positive_above=50, slice_columns=[],
    )  # fmt: skip
    assert outcome.status == 0
    assert [(row["text"], row["label"]) for row in rows] == [("bad", 0), ("good", 1)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "reviews.csv: no such file"),
        ("", "reviews.csv: is empty, expected a header row"),
        (HEADER, "reviews.csv: has no rows, expected reviews"),
        ("Title,Rating,Department Name\nx,5,Tops\n", "column 'Review Text' is missing; found 'Title', 'Rating'"),
        ("Title,Rating\nx,5\n", "columns 'Review Text', 'Department Name' are missing; found 'Title', 'Rating'"),
        (HEADER.replace("Title", "Rating") + "1,b,5,Tops\n", "column 'Title' is missing"),
        ("Rating," + HEADER + "4,a,b,5,Tops\n", "column 'Rating' occurs 2 times"),
        (GOOD + "a,b,good,Tops\n", "row 3, column 'Rating': found 'good', expected a number from 1 to 5"),
        (GOOD + "a,b,good,Tops\na,b,,Tops\n", "row 3, column 'Rating': found 'good', expected a number from 1 to 5"),
        (GOOD + "a,b,0,Tops\n", "row 3, column 'Rating': found '0', expected"),
        (GOOD + "a,b,6,Tops\n", "row 3, column 'Rating': found '6', expected"),
        (GOOD + "a,b,5.01,Tops\n", "row 3, column 'Rating': found '5.01', expected"),
        (GOOD + "a,b,nan,Tops\n", "row 3, column 'Rating': found 'nan', expected"),
        (GOOD + "a,b,,Tops\n", "row 3, column 'Rating': found '', expected"),
        (GOOD + "a,b,inf,Tops\n", "row 3, column 'Rating': found 'inf', expected"),
        (GOOD.encode() + b"a,caf\xe9,5,Tops\n", "row 3 holds byte 0xe9"),
        (GOOD + 'a,"never closed,5,Tops\n' * 3, "row 3 "),
        (GOOD + 'a,"never closed,5,Tops\nb,c,5,Tops\n', "row 3 has a quoted field that is never closed"),
        (GOOD + 'a,"' + "long " * 40_000, "row 3 has a quoted field that is never closed"),
        (
            GOOD + 'a,"' + "x" * 131_073 + '",5,Tops\n',
            "row 3 has a field of 131,073 characters, expected at most 131,072",
        ),
        (GOOD + "a," + "x" * 1_100_000 + ",5,Tops\n", "row 3 has a field of more than 1,048,576 characters"),
        (GOOD + 'a,"' + "long\n" * 300_000, "row 3 has a quoted field that is not closed within 1,048,576 characters"),
        (GOOD + "a,b\0c,5,Tops\n", "row 3 holds a NUL byte"),
        (GOOD + "a,b,5\n", "row 3 has 3 fields, expected 4"),
        (GOOD + "a,b,5,Tops,more\n", "row 3 has 5 fields, expected 4"),
        (HEADER + "a,,5,Tops\n,,2,Tops\n", "no rows are left"),
        (HEADER + "a,b,5,Tops\n", "all rows left are positive"),
        (HEADER + "a,b,1,Tops\n", "all rows left are negative"),
    ],
)  # fmt: skip
def test_invalid_input_is_refused_in_one_line(
    run_prepare: RunPrepare, content: str | bytes | None, message: str
) -> None:
    outcome, _, _ = run_prepare(content)
    assert outcome.status == 1
    assert message in outcome.stderr
    assert "\n" not in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_a_folder_as_source_is_refused(run_prepare: RunPrepare) -> None:
    Path("reviews.csv").mkdir()
    outcome, _, _ = run_prepare(None)
    assert outcome.status == 1
    assert "reviews.csv: is a folder" in outcome.stderr


def test_params_that_leave_a_class_empty_are_refused(run_prepare: RunPrepare) -> None:
    outcome, _, _ = run_prepare(GOOD, positive_above=5)
    assert "prepare: expected rating_min <= positive_above < rating_max" in outcome.stderr


@pytest.mark.parametrize("name", ["text", "length", "fold"])
def test_slice_columns_named_as_columns_of_the_table_or_as_the_number_of_words_are_refused(
    run_prepare: RunPrepare, name: str
) -> None:
    outcome, _, _ = run_prepare(GOOD, slice_columns=[name])
    assert f"slice_columns without {name}" in outcome.stderr


def test_duplicate_slice_columns_are_refused_by_name(run_prepare: RunPrepare) -> None:
    outcome, _, _ = run_prepare(GOOD, slice_columns=["Department Name", "Department Name"])
    assert outcome.status == 1
    assert "prepare: expected slice_columns without duplicates, found 'Department Name' 2 times" in outcome.stderr
