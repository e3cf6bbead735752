"""Reads texts: from arguments, lines, JSON lines, CSV or Parquet, each as a `Source`.

A row that is broken takes its place among the others without a text, and says what is wrong with it. The id is the
input's column `id` where it has one, else the number of the row.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import IO, Any

from sentiment.common.errors import InputError
from sentiment.data.csv_reader import RowError, as_text, column_indices, find_invalid_text, read_records
from sentiment.data.text import join_text
from sentiment.inference.batches import MAX_ROWS, InputBatch, Source, windows

ID = "id"
OUTPUT_COLUMNS = ("probability", "sentiment")


@dataclass(frozen=True)
class InputColumns:
    """The text columns, in the order in which they are joined, and whether to pass all columns on."""

    text_columns: tuple[str, ...]
    keep: bool

    def kept(self, source: str, columns: Sequence[str]) -> list[str]:
        """Return the columns to pass on; raises InputError for one named like an answer."""
        if not self.keep:
            return []
        if clash := set(columns) & set(OUTPUT_COLUMNS):
            raise InputError(f"{source}: has a column '{min(clash)}' already; rename it, or leave --keep out")
        return [column for column in columns if column != ID]


def from_texts(texts: Sequence[str]) -> Source:
    """Texts given as arguments."""
    return Source("arguments", {ID: "int64"}, _line_rows(iter(texts)))


def from_lines(name: str, file: IO[bytes], wanted: InputColumns) -> Source:
    """A text a line, or a JSON object a line where the first line starts with a brace."""
    lines = as_text(file, newline="\n")
    first = next(lines, "")
    both = chain([first] if first else [], lines)
    if first.lstrip().startswith("{"):
        return _from_objects(name, both, wanted)
    return Source(name, {ID: "int64"}, _line_rows(both))


def _line_rows(lines: Iterator[str]) -> Iterator[InputBatch]:
    start = 1
    for window in windows(lines):
        flaws = {place: flaw.reason for place, line in enumerate(window) if (flaw := find_invalid_text(line))}
        texts = ["" if place in flaws else join_text([line]) for place, line in enumerate(window)]
        yield InputBatch(start, range(start, start + len(window)), texts, flaws)
        start += len(window)


def _from_objects(name: str, lines: Iterator[str], wanted: InputColumns) -> Source:
    """JSON objects; the columns are the keys of the first, and a text column may be absent from a later one."""
    first = next(lines)
    known = _record(first, ())
    if isinstance(known, RowError):
        raise InputError(f"{name}: line 1 {known.reason}, expected a JSON object or a text")
    column_indices(name, list(known), list(wanted.text_columns))
    kept = wanted.kept(name, list(known))
    has_id = ID in known
    columns = {ID: "string" if has_id else "int64", **dict.fromkeys(kept, "string")}

    def rows() -> Iterator[InputBatch]:
        start = 1
        for window in windows(chain([first], lines)):
            records = [_record(line, wanted.text_columns) for line in window]
            flaws = {place: record.reason for place, record in enumerate(records) if isinstance(record, RowError)}
            objects = [{} if isinstance(record, RowError) else record for record in records]
            texts = [join_text([found.get(column) or "" for column in wanted.text_columns]) for found in objects]
            numbers = range(start, start + len(window))
            ids = [found.get(ID) for found in objects] if has_id else numbers
            yield InputBatch(start, ids, texts, flaws, {key: [found.get(key) for found in objects] for key in kept})
            start += len(window)

    return Source(name, columns, rows())


def _record(line: str, text_columns: Sequence[str]) -> dict[str, Any] | RowError:
    if flaw := find_invalid_text(line):
        return flaw
    try:
        found = json.loads(line)
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return RowError("holds half a character (a lone surrogate)")
    except (json.JSONDecodeError, RecursionError):
        return RowError("is not JSON")
    if not isinstance(found, dict):
        return RowError("is no JSON object")
    for column in text_columns:
        if not isinstance(found.get(column), str | None):
            return RowError(f"has '{column}' that is no string")
    return found


def from_csv(name: str, file: IO[bytes], wanted: InputColumns) -> Source:
    """A CSV file with a header row."""
    header, records = read_records(name, file)
    text_places = column_indices(name, header, list(wanted.text_columns))
    kept = wanted.kept(name, header)
    kept_places = dict(zip(kept, column_indices(name, header, kept), strict=True))
    id_place = header.index(ID) if ID in header else None

    def rows() -> Iterator[InputBatch]:
        start = 1
        for window in windows(records):
            flaws = {place: record.reason for place, record in enumerate(window) if isinstance(record, RowError)}
            found = [None if isinstance(record, RowError) else record for record in window]
            texts = [join_text([row[place] for place in text_places]) if row else "" for row in found]
            numbers = range(start, start + len(window))
            ids = numbers if id_place is None else [row[id_place] if row else None for row in found]
            columns = {key: [row[place] if row else None for row in found] for key, place in kept_places.items()}
            yield InputBatch(start, ids, texts, flaws, columns)
            start += len(window)

    return Source(name, {ID: "int64" if id_place is None else "string", **dict.fromkeys(kept, "string")}, rows())


def from_parquet(name: str, file: IO[bytes], wanted: InputColumns) -> Source:
    """A Parquet file; kept columns keep their types."""
    import pyarrow as pa  # half a second that texts and lines do without
    import pyarrow.parquet as pq

    try:
        parquet = pq.ParquetFile(file, pre_buffer=False)  # or all that was read stays in memory
    except pa.ArrowInvalid as error:
        raise InputError(f"{name}: not a Parquet file ({str(error).splitlines()[0]})") from None
    schema = parquet.schema_arrow
    column_indices(name, schema.names, list(wanted.text_columns))
    for column in wanted.text_columns:
        kind = schema.field(column).type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)):
            raise InputError(f"{name}: column '{column}' holds {kind}, expected text")
    kept = wanted.kept(name, schema.names)
    ids = [ID] if ID in schema.names else []
    columns = {ID: schema.field(ID).type if ids else "int64", **{key: schema.field(key).type for key in kept}}

    def rows() -> Iterator[InputBatch]:
        start = 1
        needed = list(dict.fromkeys([*ids, *wanted.text_columns, *kept]))
        for batch in parquet.iter_batches(MAX_ROWS, columns=needed):
            parts = zip(*(batch[column].to_pylist() for column in wanted.text_columns), strict=True)
            texts = [join_text([part or "" for part in row]) for row in parts]
            numbers = range(start, start + len(texts))
            of_rows = batch[ID].to_pylist() if ids else numbers
            yield InputBatch(start, of_rows, texts, kept={key: batch[key].to_pylist() for key in kept})
            start += len(texts)

    return Source(name, columns, rows())
