"""Which columns the readers take, and what they refuse by name; without a trained classifier."""

import io
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sentiment.common.errors import InputError, ParamsError
from sentiment.data.csv_reader import column_indices
from sentiment.data.readers import FIRST_ROWS, InputBatch, InputColumns, from_csv, from_json, from_parquet
from sentiment.inference.formats import OUTPUT_COLUMNS
from sentiment.inference.streams import refuse_same_file

BODY, KEEP = InputColumns(("body",)), InputColumns(("title", "body"), None, OUTPUT_COLUMNS)


def json_rows(rows: Sequence[Mapping[str, Any]], columns: InputColumns) -> list[InputBatch]:
    lines = "\n".join(map(json.dumps, rows))
    return list(from_json("new.jsonl", io.BytesIO(lines.encode()), columns).batches)


def parquet_rows(table: pa.Table, columns: InputColumns) -> list[InputBatch]:
    file = io.BytesIO()
    pq.write_table(table, file)
    return list(from_parquet("new.parquet", file, columns).batches)


def test_the_order_of_json_lines_does_not_decide_their_columns() -> None:
    rows: list[dict[str, Any]] = [{"body": "warm"}, {"title": "Lovely", "body": "soft", "id": "b", "age": 3}]
    for order in (rows, rows[::-1]):
        [batch] = json_rows(order, KEEP)
        assert sorted(batch.texts) == ["Lovely. soft", "warm"]
        assert {str(key) for key in batch.ids} == {"None", "b"}
        assert set(batch.passthrough) == {"body", "title", "age"}


def test_a_column_that_appears_late_is_an_error_of_its_row_and_not_dropped() -> None:
    rows: list[dict[str, Any]] = [{"title": "", "body": "soft"}] * FIRST_ROWS + [
        {"title": "", "body": "soft", "age": 3}
    ]
    assert json_rows(rows, KEEP)[-1].errors == {0: f"has 'age', which none of the first {FIRST_ROWS} rows has"}
    assert json_rows(rows, BODY)[-1].errors == {}


def test_a_first_line_that_is_no_object_is_an_error_of_its_row() -> None:
    lines = b'{"body": \n{"body": "soft"}\n'
    [batch] = from_json("new.jsonl", io.BytesIO(lines), BODY).batches
    assert (batch.texts, batch.errors) == (["", "soft"], {0: "is not JSON"})
    with pytest.raises(InputError, match="row 1 is not JSON, expected a JSON object per line"):
        from_json("new.jsonl", io.BytesIO(b"Soft and warm\n"), BODY)


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_every_arrow_type_of_text_is_read(kind: pa.DataType) -> None:
    titles, bodies = pa.nulls(2), pa.array(["soft", None]).cast(kind)
    [batch] = parquet_rows(pa.table({"title": titles, "body": bodies}), InputColumns(("title", "body")))
    assert list(batch.texts) == ["soft", ""]


@pytest.mark.parametrize("values", [pa.array([1]), pa.array([1]).dictionary_encode(), pa.array([["a"]])])
def test_another_arrow_type_is_refused_by_name(values: pa.Array) -> None:
    with pytest.raises(InputError, match=r"column 'body' has type .*, expected text"):
        parquet_rows(pa.table({"body": values}), BODY)


def test_a_column_that_occurs_twice_is_refused() -> None:
    table = pa.Table.from_arrays([pa.array(["a"])] * 4, ["title", "body", "age", "age"])
    with pytest.raises(InputError, match="column 'age' occurs 2 times"):
        parquet_rows(table, KEEP)
    with pytest.raises(InputError, match="column 'id' occurs 2 times"):
        from_csv("new.csv", io.BytesIO(b"id,id,body\n1,2,soft\n"), BODY)


def test_50000_columns_take_seconds() -> None:
    names = [f"column {number}" for number in range(50_000)]
    start = time.monotonic()
    assert column_indices("wide.csv", names, names) == list(range(50_000))
    assert time.monotonic() - start < 20


def test_a_file_without_a_header_does_not_print_its_first_review() -> None:
    with pytest.raises(InputError) as refused:
        column_indices("new.csv", ["word " * 10_000, *map(str, range(5_000))], ["body"])
    assert len(str(refused.value)) < 400
    assert "'word word " in str(refused.value)


@pytest.mark.parametrize("link", ["same", "symbolic", "hard"])
def test_an_output_that_is_the_input_is_refused(tmp_path: Path, link: str) -> None:
    source, output = tmp_path / "in.csv", tmp_path / ("in.csv" if link == "same" else "out.csv")
    source.write_text("body\nsoft\n")
    if link == "symbolic":
        output.symlink_to(source)
    elif link == "hard":
        output.hardlink_to(source)
    with pytest.raises(ParamsError, match="is the input, which it would replace"):
        refuse_same_file(str(source), str(output))
    refuse_same_file(str(source), str(tmp_path / "other.csv"))
    with pytest.raises(ParamsError, match="is the input"):
        refuse_same_file("s3://bucket/in.csv", "s3://bucket/in.csv")
    refuse_same_file("-", "-")


def test_a_file_without_columns_has_none() -> None:
    with pytest.raises(InputError, match=r"column 'text' is missing; found none$"):
        column_indices("new.jsonl", [], ["text"])
