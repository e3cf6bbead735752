"""Reads CSV record by record, and says of each broken one what is wrong with it. Imports no pandas.

The standard library's reader in strict mode, because pandas pads short rows, cuts texts at a NUL byte and holds
the rest of the file in memory after an unclosed quote.
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from sentiment.common.errors import InputError

MAX_FIELD_LENGTH = 131_072  # characters; a longer one is a quote that was never closed

_NOT_UTF8 = re.compile("[\udc80-\udcff]")  # how "surrogateescape" hands over a byte that is not UTF-8


@dataclass(frozen=True)
class RowError:
    """What is wrong with one record, as a sentence without its subject: "has 3 fields, expected 5 as in the header"."""

    reason: str


def as_text(file: IO[bytes], newline: str) -> IO[str]:
    """Decode UTF-8, with or without a byte order mark; `find_invalid_text` finds bytes that are not UTF-8."""
    return io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline=newline)


def find_invalid_text(text: str) -> RowError | None:
    """Tell whether text decoded by `as_text` holds something that is no text."""
    if "\0" in text:
        return RowError("holds a NUL byte")
    if not text.isascii() and (found := _NOT_UTF8.search(text)):
        return RowError(f"holds byte 0x{ord(found[0]) - 0xDC00:02x}, which is not UTF-8; save the file as UTF-8")
    return None


def read_records(source: str, file: IO[bytes]) -> tuple[list[str], Iterator[list[str] | RowError]]:
    """Return the header, and an iterator over the records below it, blank lines left out.

    A broken record takes one place among the others: behind a malformed quote, reading goes on at the next line.

    Args:
        source: the file's name, for the message.
        file: opened for reading bytes.

    Raises:
        InputError: there is no header, or it is broken.
    """
    records = _records(_Lines(as_text(file, newline="")))
    header = next(records, None)
    if header is None:
        raise InputError(f"{source}: is empty, expected a header row and reviews")
    if isinstance(header, RowError):
        raise InputError(f"{source}: the header {header.reason}")
    return header, (_of_width(record, len(header)) for record in records)


def positions(source: str, header: list[str], columns: list[str]) -> list[int]:
    """Return where `columns` stand in the header; raises InputError for one that is missing or there twice."""
    for column in columns:
        if column not in header:
            raise InputError(f"{source}: column '{column}' is missing; found {', '.join(map(repr, header))}")
        if header.count(column) > 1:
            raise InputError(
                f"{source}: column '{column}' stands {header.count(column)} times in the header, expected 1"
            )
    return [header.index(column) for column in columns]


class _Lines:
    """The lines of a file; those of the record being read are held, so that they can be read again."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._again: list[str] = []  # last one first
        self.held: list[str] = []

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._again.pop() if self._again else next(self._file)
        self.held.append(line)
        return line

    def skip_one(self) -> None:
        """Go back to the second line of the record being read."""
        self._again += reversed(self.held[1:])


def _records(lines: _Lines) -> Iterator[list[str] | RowError]:
    csv.field_size_limit(MAX_FIELD_LENGTH)
    reader = csv.reader(lines, strict=True)
    while True:
        lines.held = []
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            lines.skip_one()
            reader = csv.reader(lines, strict=True)
            yield RowError(_readable(error))
            continue
        flaws = (find_invalid_text(line) for line in lines.held)
        if flaw := next(filter(None, flaws), None):
            yield flaw
        elif record:
            yield record


def _readable(error: csv.Error) -> str:
    reason = str(error)
    if "end of data" in reason or "field limit" in reason:
        return "has a quoted field that is never closed"
    return f"is malformed ({reason})"


def _of_width(record: list[str] | RowError, width: int) -> list[str] | RowError:
    if isinstance(record, RowError) or len(record) == width:
        return record
    return RowError(f"has {len(record)} fields, expected {width} as in the header")
