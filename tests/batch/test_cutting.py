"""A cut file has the rows of the whole file, whatever is in it: line ends in fields, open quotes, byte order marks."""

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentiment.batch.label import read_unit
from sentiment.batch.storage import LocalStorage
from sentiment.batch.units import Unit, cut, cut_row_groups
from sentiment.data.readers import InputColumns, InputTable
from sentiment.inference.formats import reader_of
from sentiment.inference.streams import reading
from sentiment.storage.s3 import FileInfo

COLUMNS = InputColumns(("text",), None)
HOSTILE = [
    '"',
    ",",
    "\n",
    "\r\n",
    "\r",
    "é",
    "\N{LINE SEPARATOR}",
    "a",
    "b\n",
    '""',
    '","',
    "\x00",
    " ",
    "x,y\n",
    '"q"\n',
]


def all_rows(table: InputTable) -> list[tuple[Any, ...]]:
    return [
        (number, identifier, text, index in batch.errors, *(values[index] for values in batch.passthrough.values()))
        for batch in table.batches
        for index, (number, identifier, text) in enumerate(
            zip(range(batch.first, batch.first + len(batch.texts)), batch.ids, batch.texts, strict=True)
        )
    ]


def rows_of_units(path: Path, max_rows: int) -> list[tuple[Any, ...]]:
    storage = LocalStorage()
    [file] = storage.list(str(path))
    assert isinstance(file, FileInfo)
    rows = []
    for index, part in enumerate(cut(file, storage, max_rows)):
        with read_unit(Unit(file, path.name, index, part), storage, COLUMNS) as table:
            found = all_rows(table)
        assert len(found) <= max_rows
        assert part.rows in {-1, len(found)}
        rows += found
    return rows


def rows_of_file(path: Path) -> list[tuple[Any, ...]]:
    with reading(str(path)) as source:
        return all_rows(reader_of(str(path))(str(path), source.content, COLUMNS))


@given(
    body=st.lists(st.sampled_from(HOSTILE), max_size=60).map("".join), mark=st.booleans(), max_rows=st.integers(1, 4)
)
@settings(max_examples=300, deadline=None)
def test_hostile_csv(tmp_path_factory: pytest.TempPathFactory, body: str, mark: bool, max_rows: int) -> None:
    path = tmp_path_factory.getbasetemp() / "hostile.csv"
    path.write_bytes((b"\xef\xbb\xbf" if mark else b"") + b"text,other\n" + body.encode())
    assert rows_of_units(path, max_rows) == rows_of_file(path)


@pytest.mark.parametrize("with_id", [True, False])
@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz"])
def test_json_lines(tmp_path: Path, with_id: bool, ending: str) -> None:
    lines = ["", '{"text": "first", "more": 1}', " ", "not JSON", '{"text": "\\u2028 é"}', "[1]", '{"text": null}'] * 3
    if with_id:
        lines[1] = '{"text": "first", "id": "x"}'
    data = "\n".join(lines).encode()
    path = tmp_path / f"lines{ending}"
    path.write_bytes(gzip.compress(data) if ending.endswith(".gz") else data)
    for max_rows in (1, 2, 5, 100):
        assert rows_of_units(path, max_rows) == rows_of_file(path)


@pytest.mark.parametrize("row_group_size", [1, 3, 10, 30])
@pytest.mark.parametrize("max_rows", [1, 4, 7, 100])
def test_parquet(tmp_path: Path, row_group_size: int, max_rows: int) -> None:
    path = tmp_path / "table.parquet"
    texts = [f"text {row}" for row in range(30)]
    pq.write_table(pa.table({"text": texts, "n": range(30)}), path, row_group_size=row_group_size)
    assert rows_of_units(path, max_rows) == rows_of_file(path)


@given(st.lists(st.integers(0, 12), max_size=12), st.integers(1, 6))
def test_row_groups_are_cut_without_gap_or_overlap(lengths: list[int], max_rows: int) -> None:
    parts = cut_row_groups(lengths, max_rows)
    assert [row for part in parts for row in range(part.start, part.stop)] == list(range(sum(lengths)))
    assert all(part.rows == part.stop - part.start <= max_rows for part in parts)
    assert all(part.first_row == part.start + 1 for part in parts)
