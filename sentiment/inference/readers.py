"""Read the rows that `sentiment predict` labels, thousands at a time."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import IO, TYPE_CHECKING, Any, TypeVar

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

Item = TypeVar("Item")


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
    errors: dict[int, str] = field(default_factory=dict)
    passthrough: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def parts(self, n_rows: int) -> Iterator["InputBatch"]:
        """Yield the rows in batches of at most `n_rows`."""
        for start in range(0, len(self.texts), n_rows):
            rows = slice(start, start + n_rows)
            yield InputBatch(
                self.first + start,
                self.ids[rows],
                self.texts[rows],
                {index - start: error for index, error in self.errors.items() if start <= index < start + n_rows},
                {name: values[rows] for name, values in self.passthrough.items()},
            )


@dataclass(frozen=True)
class InputTable:
    """An input that is read batch by batch.

    Attributes:
        name: of the file, for messages.
        types: Arrow types of the id and of the passthrough columns, by name.
        batches: the rows, in order.
    """

    name: str
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
            "id": self.inputs.ids,
            "probability": [None if np.isnan(p) else round(p, 6) for p in probabilities],
            "sentiment": self.labels,
            **self.inputs.passthrough,
        }
        if self.explanations is not None:
            from sentiment.inference.explanation import as_mapping

            texts = zip(self.inputs.texts, self.explanations, strict=True)
            columns["explanation"] = [one and as_mapping(text, one) for text, one in texts]
        return columns


def growing_batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Yield the items in lists of `FIRST_ROWS`, then `GROWTH` times as many as before, up to `MAX_ROWS`."""
    iterator, size = iter(items), FIRST_ROWS
    while batch := list(islice(iterator, size)):
        yield batch
        size = min(MAX_ROWS, size * GROWTH)


ID = "id"
OUTPUT_COLUMNS = ("probability", "sentiment")
EXPLANATION = "explanation"  # one more output column, where it is asked for


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

    def passthrough(self, name: str, columns: Sequence[str]) -> list[str]:
        """Return the columns of file `name` to write too; raises InputError for one named like an output column."""
        if not self.keep_all:
            return []
        if clash := set(columns) & set(self.output_columns):
            raise InputError(f"{name}: has a column '{min(clash)}' already; rename it, or omit --keep-columns")
        return [column for column in columns if column != ID]


def from_texts(texts: Sequence[str]) -> InputTable:
    """Read texts given as arguments."""
    return from_text_lines("arguments", texts)


def from_text_lines(name: str, lines: Iterable[str]) -> InputTable:
    """Read one text per line."""
    return InputTable(name, {ID: "int64"}, _line_batches(lines))


def _line_batches(lines: Iterable[str]) -> Iterator[InputBatch]:
    first = 1
    for batch in growing_batches(lines):
        errors = {index: error.reason for index, line in enumerate(batch) if (error := find_invalid_text(line))}
        texts = ["" if index in errors else join_text([line]) for index, line in enumerate(batch)]
        yield InputBatch(first, range(first, first + len(batch)), texts, errors)
        first += len(batch)


def from_lines(name: str, file: IO[bytes], columns: InputColumns) -> InputTable:
    """Read one text per line from a file; `columns` is not used, for lines have none."""
    return from_text_lines(name, as_text(file, newline="\n"))


def from_csv(name: str, file: IO[bytes], columns: InputColumns, delimiter: str = ",") -> InputTable:
    """Read a CSV file with a header row; with another delimiter, a TSV file."""
    header, records = read_records(name, file, delimiter)
    text_indices = column_indices(name, header, list(columns.text_columns))
    passthrough = columns.passthrough(name, header)
    passthrough_indices = dict(zip(passthrough, column_indices(name, header, passthrough), strict=True))
    id_index = column_indices(name, header, [ID])[0] if ID in header else None

    def batches() -> Iterator[InputBatch]:
        first = 1
        for batch in growing_batches(records):
            errors = {index: record.reason for index, record in enumerate(batch) if isinstance(record, RowError)}
            rows = [None if isinstance(record, RowError) else record for record in batch]
            texts = [join_text([row[index] for index in text_indices]) if row else "" for row in rows]
            row_numbers = range(first, first + len(batch))
            ids = row_numbers if id_index is None else [row[id_index] if row else None for row in rows]
            values = {
                column: [row[index] if row else None for row in rows] for column, index in passthrough_indices.items()
            }
            yield InputBatch(first, ids, texts, errors, values)
            first += len(batch)

    types = {ID: "int64" if id_index is None else "string", **dict.fromkeys(passthrough, "string")}
    return InputTable(name, types, batches())


CHUNK_LENGTH = 65_536  # characters read at a time from an array
MAX_OBJECT_LENGTH = 16_777_216  # characters; what has not ended by then is not an object of a review

Record = Mapping[str, Any] | RowError


def from_json(name: str, file: IO[bytes], columns: InputColumns) -> InputTable:
    """Read JSON lines, or an array of objects where the file starts with a bracket; blank lines are skipped."""
    text = as_text(file, newline="\n")
    _, head = _first_line(text)
    if head.lstrip().startswith("["):
        return _from_records(name, _array_values(name, text, head), columns)
    return _from_records(name, _line_values(chain([_rest_of_line(head, text)], text)), columns)


def from_lines_or_json(name: str, file: IO[bytes], columns: InputColumns) -> InputTable:
    """Read one text per line, or JSON where the first line with content starts like an object or array of objects."""
    text = as_text(file, newline="\n")
    blank, head = _first_line(text)
    start = head.lstrip()
    if start.startswith("["):
        following = start[1:].strip()
        if following.startswith("{") or (not following and head.endswith("\n")):
            return _from_records(name, _array_values(name, text, head), columns)
    lines = chain([_rest_of_line(head, text)] if head else [], text)
    if start.startswith("{"):
        return _from_records(name, _line_values(lines), columns)
    return from_text_lines(name, chain(blank, lines))


def _first_line(text: IO[str]) -> tuple[list[str], str]:
    """Return the blank lines at the start, and the start of the first other line ("" at the end of the file)."""
    blank: list[str] = []
    while (line := text.readline(CHUNK_LENGTH)) and not line.strip():
        blank.append(line)
    return blank, line


def _rest_of_line(head: str, text: IO[str]) -> str:
    return head if head.endswith("\n") or not head else head + text.readline()


def _line_values(lines: Iterable[str]) -> Iterator[Any]:
    for line in lines:
        if line.strip():
            yield find_invalid_text(line) or _parse(line)


def _parse(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):  # ValueError also for a number of more than 4,300 digits
        return RowError("is not JSON")


def _array_values(name: str, file: IO[str], text: str) -> Iterator[Any]:
    """Yield the elements of an array of which `text` has been read; at most one element and one chunk are in memory.

    Raises:
        InputError: an element is not JSON, or the array does not end.
    """
    decode = json.JSONDecoder().raw_decode
    text, number = text.lstrip()[1:], 1
    while True:
        text = text.lstrip()
        if text.startswith("]"):
            if text[1:].strip() or file.read(CHUNK_LENGTH).strip():
                raise InputError(f"{name}: has text after the end of the array")
            return
        element = text.removeprefix(",").lstrip() if number > 1 else text
        try:
            value, end = decode(element)
            is_complete = bool(element[end:].strip()) and (number == 1 or text.startswith(","))
        except (ValueError, RecursionError):
            is_complete = False
        if is_complete:
            yield value
            text, number = element[end:], number + 1
            continue
        more = file.read(max(CHUNK_LENGTH, len(text)))  # doubled, or a long element would be decoded too often
        if not more or len(text) > MAX_OBJECT_LENGTH:
            raise InputError(f"{name}: element {number} of the array is not JSON, or the array is not closed")
        text += more


def _from_records(name: str, values: Iterator[Any], columns: InputColumns) -> InputTable:
    records = (_check(value, columns.text_columns) for value in values)
    first_records = list(islice(records, FIRST_ROWS))
    if not first_records:
        return InputTable(name, {ID: "int64"}, iter(()))
    objects = [record for record in first_records if not isinstance(record, RowError)]
    if not objects and isinstance(first_records[0], RowError):
        raise InputError(f"{name}: row 1 {first_records[0].reason}, expected a JSON object")
    header = list(dict.fromkeys(key for record in objects for key in record))
    column_indices(name, header, list(columns.text_columns))
    passthrough = columns.passthrough(name, header)
    has_id = ID in header
    known = {*header, *columns.text_columns}

    def check_keys(record: Record) -> Record:
        """Return what is wrong with a row that has a column to write that none of the first rows has."""
        if isinstance(record, RowError) or record.keys() <= known:
            return record
        late = [key for key in record if key not in known and (columns.keep_all or key == ID)]
        return RowError(f"has '{late[0]}', which none of the first {FIRST_ROWS} rows has") if late else record

    def batches() -> Iterator[InputBatch]:
        first = 1
        for batch in growing_batches(chain(first_records, map(check_keys, records))):
            errors = {index: record.reason for index, record in enumerate(batch) if isinstance(record, RowError)}
            objects = [{} if isinstance(record, RowError) else record for record in batch]
            texts = [join_text([value.get(column) or "" for column in columns.text_columns]) for value in objects]
            ids = [value.get(ID) for value in objects] if has_id else range(first, first + len(batch))
            yield InputBatch(
                first, ids, texts, errors, {key: [value.get(key) for value in objects] for key in passthrough}
            )
            first += len(batch)

    types = {ID: "string" if has_id else "int64", **dict.fromkeys(passthrough, "string")}
    return InputTable(name, types, batches())


def _check(value: Any, text_columns: Sequence[str]) -> Record:
    """Return a decoded value if it is an object whose text columns are text, else what is wrong with it."""
    if isinstance(value, RowError):
        return value
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
    column_indices(name, schema.names, list(columns.text_columns))
    for column in columns.text_columns:
        kind = schema.field(column).type
        if not _is_text(kind):
            raise InputError(f"{name}: column '{column}' has type {kind}, expected text")
    passthrough = columns.passthrough(name, schema.names)
    column_indices(name, schema.names, [*passthrough, *([ID] if ID in schema.names else [])])
    id_column = [ID] if ID in schema.names else []
    needed = list(dict.fromkeys([*id_column, *columns.text_columns, *passthrough]))

    def record_batches() -> Iterator[Any]:
        try:
            if rows is None:
                yield from parquet.iter_batches(MAX_ROWS, columns=needed)
            else:
                yield from rows_of(parquet, needed, *rows)
        except damage as error:
            raise InputError(f"{name}: damaged Parquet file ({one_line(error)[:200]})") from None

    def batches() -> Iterator[InputBatch]:
        first = rows[0] + 1 if rows else 1
        for batch in record_batches():
            try:
                columns_of_text = zip(*(batch[column].to_pylist() for column in columns.text_columns), strict=True)
                texts = [join_text([value or "" for value in row]) for row in columns_of_text]
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{name}: a text between rows {first} and {first + len(batch) - 1} is not UTF-8 ({error})"
                ) from None
            ids = batch[ID].to_pylist() if id_column else range(first, first + len(texts))
            yield InputBatch(first, ids, texts, passthrough={key: batch[key].to_pylist() for key in passthrough})
            first += len(texts)

    types = {
        ID: schema.field(ID).type if id_column else "int64",
        **{key: schema.field(key).type for key in passthrough},
    }
    return InputTable(name, types, batches())


def _is_text(kind: Any) -> bool:
    """Return whether an Arrow type holds text; a column that is empty throughout has the type null."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
    return any(is_kind(kind) for is_kind in text)


def rows_of(parquet: Any, columns: list[str], start: int, stop: int) -> Iterator[Any]:
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
