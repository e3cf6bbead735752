"""Read the records of a CSV file one by one, with a `RowError` for each broken one.

The standard library's reader in strict mode. pandas fills up short rows, cuts texts at a NUL byte, and reads the rest
of the file into memory after an unclosed quote. `pyarrow.csv` with an `invalid_row_handler` takes an eighth of the
processor time (470,000 rows, 170 MB: 0.3 s, this module 2.4 s), but it accepts text after a closing quote, so that an
unclosed quote silently joins two rows, it accepts NUL bytes, and it loses all rows after a quote that nothing closes.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, AnyStr

from sentiment.common.errors import InputError

if TYPE_CHECKING:
    import pandas

MAX_FIELD_LENGTH = 131_072  # characters, more than any review has; it bounds the memory of a chunk of rows
MAX_LINE = 16 * 2**20  # characters, or bytes; of a quoted field, each line counts for itself
MAX_SHOWN_NAMES, MAX_SHOWN_LENGTH = 20, 40  # columns in a message, and characters of each
MAX_LENGTH_READ = 1_048_576  # where reading of one field ends; it bounds what a quote that is never closed holds

_NOT_UTF8 = re.compile("[\udc80-\udcff]")  # how "surrogateescape" decodes a byte that is not UTF-8


@dataclass(frozen=True)
class RowError:
    """What is wrong with one record, as a sentence without subject: "has 3 fields, expected 5 as in the header"."""

    reason: str


def read_line(file: IO[AnyStr], name: str) -> AnyStr:
    """Return the next line, empty at the end; raises InputError where it does not end within `MAX_LINE`.

    A small .gz can hold a line that would fill the memory.
    """
    line = file.readline(MAX_LINE)
    if len(line) == MAX_LINE:
        raise InputError(f"{name}: a line has {MAX_LINE:,} characters or more; expected a review on each")
    return line


class BoundedLines(io.TextIOWrapper):
    """A text whose lines are read by `read_line`."""

    def __next__(self) -> str:  # type: ignore[override]  # bytes in the base class that all files share
        if line := read_line(self, str(getattr(self.buffer, "name", "the input"))):
            return line
        raise StopIteration


def as_text(file: IO[bytes], newline: str) -> IO[str]:
    """Decode UTF-8, with or without a byte order mark; `find_invalid_text` finds bytes that are not UTF-8."""
    return BoundedLines(file, encoding="utf-8-sig", errors="surrogateescape", newline=newline)


def find_invalid_text(text: str) -> RowError | None:
    """Return what is wrong with text decoded by `as_text`: a NUL byte or a byte that is not UTF-8."""
    if "\0" in text:
        return RowError("holds a NUL byte")
    if not text.isascii() and (invalid := _NOT_UTF8.search(text)):
        return RowError(f"holds byte 0x{ord(invalid[0]) - 0xDC00:02x}, which is not UTF-8; save the file as UTF-8")
    return None


def read_records(
    source: str, file: IO[bytes], delimiter: str = ","
) -> tuple[list[str], Iterator[list[str] | RowError]]:
    """Return the header, and an iterator over the records below it without blank lines.

    A broken record yields one `RowError` in its position; after it, reading continues at the next line.

    Args:
        source: the file's name, for the message.
        file: opened for reading bytes.
        delimiter: between fields.

    Raises:
        InputError: there is no header, or it is broken.
    """
    records = parse_records(ReplayableLines(as_text(file, newline="")), delimiter)
    header = next(records, None)
    if header is None:
        raise InputError(f"{source}: is empty, expected a header row and reviews")
    if isinstance(header, RowError):
        raise InputError(f"{source}: the header {header.reason}")
    return header, (_check_field_count(record, len(header)) for record in records)


def column_indices(source: str, header: list[str], columns: list[str]) -> list[int]:
    """Return the index of each column in the header; raises InputError for a missing or repeated column."""
    counts = Counter(header)
    for column in columns:
        if column not in counts:
            raise InputError(f"{source}: column '{column}' is missing; found {_shown_names(header)}")
        if counts[column] > 1:
            raise InputError(f"{source}: column '{column}' occurs {counts[column]} times in the header, expected 1")
    index_of = {name: index for index, name in enumerate(header)}
    return [index_of[column] for column in columns]


def _shown_names(header: list[str]) -> str:
    """Return the names of columns for a message; a file without a header has a review in their place."""
    shown = header[:MAX_SHOWN_NAMES]
    names = [repr(name if len(name) <= MAX_SHOWN_LENGTH else f"{name[:MAX_SHOWN_LENGTH]}…") for name in shown]
    return ", ".join([*names, *(["…"] if len(header) > MAX_SHOWN_NAMES else [])])


class ReplayableLines:
    """The lines of a file; the lines of the record being read are kept, so that they can be read again.

    Attributes:
        current: the lines read since the caller last emptied it.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._replay: list[str] = []  # last one first
        self.current: list[str] = []

    def __iter__(self) -> "ReplayableLines":
        return self

    def __next__(self) -> str:
        line = self._replay.pop() if self._replay else next(self._file)
        self.current.append(line)
        return line

    def rewind_to_second_line(self) -> None:
        """Make the second line of the record being read the next one."""
        self._replay += reversed(self.current[1:])


def parse_records(lines: ReplayableLines, delimiter: str) -> Iterator[list[str] | RowError]:
    """Yield the records of lines, the header too, without blank lines; a `RowError` for each broken one."""
    csv.field_size_limit(MAX_LENGTH_READ)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.current = []
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            lines.rewind_to_second_line()
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            yield RowError(_parse_error_reason(error, len(lines.current)))
            continue
        invalid = (find_invalid_text(line) for line in lines.current)
        if row_error := next(filter(None, invalid), None):
            yield row_error
        elif record:
            yield _check_field_lengths(record, lines.current)


def _parse_error_reason(error: csv.Error, n_lines: int) -> str:
    reason = str(error)
    if "end of data" in reason:
        return "has a quoted field that is never closed"
    if "field limit" not in reason:
        return f"is malformed ({reason})"
    if n_lines > 1:
        return f"has a quoted field that is not closed within {MAX_LENGTH_READ:,} characters"
    return f"has a field of more than {MAX_LENGTH_READ:,} characters, expected at most {MAX_FIELD_LENGTH:,}"


def _check_field_lengths(record: list[str], lines: list[str]) -> list[str] | RowError:
    # the length of the lines rules out most records at once
    if sum(map(len, lines)) > MAX_FIELD_LENGTH and (longest := max(map(len, record))) > MAX_FIELD_LENGTH:
        return RowError(f"has a field of {longest:,} characters, expected at most {MAX_FIELD_LENGTH:,}")
    return record


def _check_field_count(record: list[str] | RowError, n_fields: int) -> list[str] | RowError:
    if isinstance(record, RowError) or len(record) == n_fields:
        return record
    return RowError(f"has {len(record)} fields, expected {n_fields} as in the header")


ROWS_PER_CHUNK = 16_384  # some 10 MB of reviews; a longer chunk is no faster


def read_chunks(path: Path, columns: list[str], rows: int = ROWS_PER_CHUNK) -> "Iterator[pandas.DataFrame]":
    """Yield the named columns as strings, `rows` rows at a time, indexed by row number (the first review is 1).

    Raises:
        InputError: the file is missing, a folder, empty or without rows, or lacks a column; or a row has too few or
            too many fields, a NUL byte, a byte that is not UTF-8, or a quote that is never closed.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file; expected a CSV file of reviews (see prepare.source)")
    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected a CSV file of reviews")
    with path.open("rb") as file:
        header, records = read_records(str(path), file)
        indices = column_indices(str(path), header, columns)
        pending: list[list[str]] = []
        first_row = 1
        for row, record in enumerate(records, start=1):
            if isinstance(record, RowError):
                raise InputError(f"{path}: row {row} {record.reason}")
            pending.append([record[index] for index in indices])
            if len(pending) == rows:
                yield _frame(pending, columns, first_row)
                pending, first_row = [], row + 1
        if pending:
            yield _frame(pending, columns, first_row)
        elif first_row == 1:
            raise InputError(f"{path}: has a header and no rows, expected reviews")


def _frame(records: list[list[str]], columns: list[str], first_row: int) -> "pandas.DataFrame":
    import pandas  # which labeling, another reader of CSV, does without

    return pandas.DataFrame(records, columns=columns, index=range(first_row, first_row + len(records)), dtype="str")
