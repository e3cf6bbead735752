"""Read the rows that `sentiment predict` labels, thousands at a time."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sentiment.common.errors import InputError, one_line
from sentiment.data.csv_reader import RowError, as_text, column_indices, find_invalid_text, read_records
from sentiment.data.text import join_text

if TYPE_CHECKING:
    from sentiment.inference.explanation import Explanation

MAX_ROWS = 8_192  # of a batch: enough to sort by length, few enough for memory
FIRST_ROWS = 64  # of the first batch, so that the first labels come soon
GROWTH = 4  # how much larger than the one before a batch may be
MAX_HEAD = 1_000  # lines in which the first one with content tells JSON lines from texts
ID = "id"
OUTPUT_COLUMNS = ("probability", "sentiment")
EXPLANATION = "explanation"  # one more output column, where it is asked for
JSON_LINES = "expected a JSON object per line; jq -c '.[]' makes them of an array"

Record = Mapping[str, Any] | RowError


@dataclass(frozen=True)
class InputBatch:
    """Some rows of the input, in its order.

    Attributes:
        first: number of the first row; the input's first row is 1.
        ids: one per row.
        texts: one per row; "" where a row has none.
        errors: what is wrong with a row, by its index in `texts`; the text of a wrong row is "".
        passthrough: the input's columns to write to the output, by name.
    """

    first: int
    ids: Sequence[Any]
    texts: Sequence[str]
    errors: Mapping[int, str] = field(default_factory=dict)
    passthrough: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def rows(self, start: int, stop: int) -> "InputBatch":
        """Return the rows from index `start` up to `stop`."""
        return InputBatch(
            self.first + start,
            self.ids[start:stop],
            self.texts[start:stop],
            {index - start: error for index, error in self.errors.items() if start <= index < stop},
            {name: values[start:stop] for name, values in self.passthrough.items()},
        )


@dataclass(frozen=True)
class InputTable:
    """An input that is read batch by batch.

    Attributes:
        types: Arrow types of the id and of the passthrough columns, by name.
        batches: the rows, in order.
    """

    types: dict[str, Any]
    batches: Iterator[InputBatch]


@dataclass(frozen=True)
class PredictionBatch:
    """An InputBatch with its predictions.

    Attributes:
        probabilities: of "positive", shape (n_rows,); NaN where there is no text.
        labels: the label of each row; None where there is no text.
        explanations: one per row, None where there is no text; or None where none were asked for.
    """

    inputs: InputBatch
    probabilities: NDArray[np.float32]
    labels: Sequence[str | None]
    explanations: "Sequence[Explanation | None] | None" = None

    def columns(self) -> dict[str, Sequence[Any]]:
        """Return the output's columns; probability (6 decimals) and sentiment are None where there is no text."""
        probabilities = self.probabilities.tolist()
        columns = {
            ID: self.inputs.ids,
            "probability": [None if np.isnan(p) else round(p, 6) for p in probabilities],
            "sentiment": self.labels,
            **self.inputs.passthrough,
        }
        if self.explanations is not None:
            texts = zip(self.inputs.texts, self.explanations, strict=True)
            columns[EXPLANATION] = [one and one.as_mapping(text) for text, one in texts]
        return columns


@dataclass(frozen=True)
class InputColumns:
    """Which columns of the input are used.

    Attributes:
        text_columns: joined into a text, in this order.
        keep_all: whether all columns are written to the output too.
        output_columns: names that no other column of the output may have.
    """

    text_columns: tuple[str, ...]
    keep_all: bool = False
    output_columns: tuple[str, ...] = OUTPUT_COLUMNS

    def select(self, name: str, header: Sequence[str]) -> tuple[list[str], list[str]]:
        """Return the columns of file `name` to read, and those of them to write too.

        Raises:
            InputError: a column is missing, occurs twice, or is named like an output column.
        """
        column_indices(name, list(header), list(self.text_columns))
        if self.keep_all and (clash := set(header) & set(self.output_columns)):
            raise InputError(f"{name}: has a column '{min(clash)}' already; rename it, or omit --keep-columns")
        passthrough = [column for column in header if column != ID] if self.keep_all else []
        needed = list(dict.fromkeys([*([ID] if ID in header else []), *self.text_columns, *passthrough]))
        column_indices(name, list(header), needed)
        return needed, passthrough


def from_texts(lines: Iterable[str]) -> InputTable:
    """Read one text per line, or per argument of a command."""
    records = (find_invalid_text(line) or {"text": line} for line in lines)
    return InputTable({ID: "int64"}, _record_batches(records, ["text"], ("text",), []))


def from_csv(name: str, file: IO[bytes], columns: InputColumns, delimiter: str = ",") -> InputTable:
    """Read a CSV file with a header row; with another delimiter, a TSV file."""
    header, rows = read_records(name, file, delimiter)
    needed, passthrough = columns.select(name, header)
    indices = dict(zip(needed, column_indices(name, header, needed), strict=True))
    records = (
        row if isinstance(row, RowError) else {column: row[index] for column, index in indices.items()} for row in rows
    )
    types = {ID: "string" if ID in needed else "int64", **dict.fromkeys(passthrough, "string")}
    return InputTable(types, _record_batches(records, needed, columns.text_columns, passthrough))


def from_lines_or_json(name: str, file: IO[bytes], columns: InputColumns) -> InputTable:
    """Read one text per line, or JSON lines where the first line with content starts like an object.

    Raises:
        InputError: the input starts like an array of objects.
    """
    lines = iter(as_text(file, newline="\n"))
    head: list[str] = []
    for line in islice(lines, MAX_HEAD):
        head.append(line)
        if line.strip():
            break
    start = head[-1].strip() if head else ""
    if start == "[" or start.replace(" ", "").startswith("[{"):
        raise InputError(f"{name}: is a JSON array, {JSON_LINES}")
    if start.startswith("{"):
        return from_json(name, file, columns, chain(head, lines))
    return from_texts(chain(head, lines))


def from_json(name: str, file: IO[bytes], columns: InputColumns, lines: Iterable[str] | None = None) -> InputTable:
    """Read JSON lines (`lines`, where the file is decoded already); the keys of the first rows are the columns.

    Raises:
        InputError: the first rows are no objects, or have not the text columns.
    """
    if lines is None:
        lines = as_text(file, newline="\n")
    records = (_parse(line, columns.text_columns) for line in lines if line.strip())
    first_records = list(islice(records, FIRST_ROWS))
    if not first_records:
        return InputTable({ID: "int64"}, iter(()))
    header = list(dict.fromkeys(key for record in first_records if not isinstance(record, RowError) for key in record))
    if not header and isinstance(first_records[0], RowError):
        raise InputError(f"{name}: row 1 {first_records[0].reason}, {JSON_LINES}")
    needed, passthrough = columns.select(name, header)
    known = {*header, *columns.text_columns}

    def check_keys(record: Record) -> Record:
        """Return what is wrong with a row that has a column to write that none of the first rows has."""
        if isinstance(record, RowError) or record.keys() <= known:
            return record
        late = [key for key in record if key not in known and (columns.keep_all or key == ID)]
        return RowError(f"has '{late[0]}', which none of the first {FIRST_ROWS} rows has") if late else record

    types = {ID: "string" if ID in needed else "int64", **dict.fromkeys(passthrough, "string")}
    checked = chain(first_records, map(check_keys, records))
    return InputTable(types, _record_batches(checked, needed, columns.text_columns, passthrough))


def _parse(line: str, text_columns: Sequence[str]) -> Record:
    """Return the object of a line if its text columns are text, else what is wrong with it."""
    if invalid := find_invalid_text(line):
        return invalid
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):  # ValueError also for a number of more than 4,300 digits
        return RowError("is not JSON")
    if not isinstance(value, dict):
        return RowError("is not a JSON object")
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return RowError("contains a lone surrogate, or bytes that are not UTF-8")
    for column in text_columns:
        if not isinstance(value.get(column), str | None):
            return RowError(f"has '{column}' that is not a string")
    return value


def _record_batches(
    records: Iterable[Record], needed: Sequence[str], text_columns: Sequence[str], passthrough: Sequence[str]
) -> Iterator[InputBatch]:
    """Yield rows that are read one by one, as mappings of column to value."""
    iterator, first, size = iter(records), 1, FIRST_ROWS
    while batch := list(islice(iterator, size)):
        errors = {index: record.reason for index, record in enumerate(batch) if isinstance(record, RowError)}
        rows = [{} if isinstance(record, RowError) else record for record in batch]
        values = {column: [row.get(column) for row in rows] for column in needed}
        yield _input_batch(first, values, text_columns, passthrough, errors)
        first, size = first + len(batch), min(MAX_ROWS, size * GROWTH)


def _input_batch(
    first: int,
    values: Mapping[str, Sequence[Any]],
    text_columns: Sequence[str],
    passthrough: Sequence[str],
    errors: Mapping[int, str],
) -> InputBatch:
    rows = zip(*(values[column] for column in text_columns), strict=True)
    texts = [join_text([value or "" for value in row]) for row in rows]
    ids = values.get(ID, range(first, first + len(texts)))
    return InputBatch(first, ids, texts, errors, {column: values[column] for column in passthrough})


def from_parquet(name: str, file: IO[bytes], columns: InputColumns, rows: tuple[int, int] | None = None) -> InputTable:
    """Read a Parquet file.

    Args:
        name: of the file, for messages.
        file: opened for reading and seeking.
        columns: which to read.
        rows: the first row to read, from 0, and the one after the last; None for all.

    Raises:
        InputError: it is not Parquet or damaged, or a text column is missing or does not contain text.
    """
    import pyarrow as pa  # 0.5 s that texts and lines do not need
    import pyarrow.parquet as pq

    damage = (pa.ArrowException, OSError, EOFError)  # Arrow reports a damaged page as OSError, without the file's name
    try:
        parquet = pq.ParquetFile(file, pre_buffer=False)  # pre_buffer keeps all that was read in memory
    except damage as error:
        raise InputError(f"{name}: not a Parquet file ({one_line(error)[:200]})") from None
    schema = parquet.schema_arrow
    needed, passthrough = columns.select(name, schema.names)
    for column in columns.text_columns:
        if not _is_text(kind := schema.field(column).type):
            raise InputError(f"{name}: column '{column}' has type {kind}, expected text")
    start, stop = rows or (0, parquet.metadata.num_rows)

    def batches() -> Iterator[InputBatch]:
        first = start + 1
        try:
            for batch in _rows_of(parquet, needed, start, stop):
                values = {column: batch[column].to_pylist() for column in needed}
                yield _input_batch(first, values, columns.text_columns, passthrough, {})
                first += len(batch)
        except UnicodeDecodeError as error:
            raise InputError(f"{name}: a text from row {first} on is not UTF-8 ({error})") from None
        except damage as error:
            raise InputError(f"{name}: damaged Parquet file ({one_line(error)[:200]})") from None

    types = {
        ID: schema.field(ID).type if ID in needed else "int64",
        **{column: schema.field(column).type for column in passthrough},
    }
    return InputTable(types, batches())


def _is_text(kind: Any) -> bool:
    """Return whether an Arrow type holds text; a column that is empty throughout has the type null."""
    values = kind.value_type if str(kind).startswith("dictionary") else kind
    return str(values) in {"string", "large_string", "string_view", "null"}


def _rows_of(parquet: Any, columns: list[str], start: int, stop: int) -> Iterator[Any]:
    """Yield the rows from `start` up to `stop`; only row groups with such rows are read."""
    groups: list[int] = []
    position = first = 0
    for index in range(parquet.metadata.num_row_groups):
        end = position + parquet.metadata.row_group(index).num_rows
        if position < stop and end > start:
            first = first if groups else position
            groups.append(index)
        position = end
    position = first
    for batch in parquet.iter_batches(MAX_ROWS, row_groups=groups, columns=columns):
        end = position + batch.num_rows
        if position < stop and end > start:
            yield batch.slice(max(0, start - position), min(stop, end) - max(start, position))
        position = end
