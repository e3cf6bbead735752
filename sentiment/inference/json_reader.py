"""Read JSON lines, or one JSON array of objects, as an InputTable; the keys of the first object are the columns."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import IO, Any

from sentiment.common.errors import InputError
from sentiment.data.csv_reader import RowError, as_text, column_indices, find_invalid_text
from sentiment.data.text import join_text
from sentiment.inference.batches import InputBatch, InputTable, growing_batches
from sentiment.inference.readers import ID, InputColumns, from_text_lines

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
    first_record = next(records, None)
    if first_record is None:
        return InputTable(name, {ID: "int64"}, iter(()))
    header = _check(first_record, ())
    if isinstance(header, RowError):
        raise InputError(f"{name}: row 1 {header.reason}, expected a JSON object")
    column_indices(name, list(header), list(columns.text_columns))
    passthrough = columns.passthrough(name, list(header))
    has_id = ID in header

    def batches() -> Iterator[InputBatch]:
        first = 1
        for batch in growing_batches(chain([first_record], records)):
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
