"""Reads a CSV file of any size in chunks, and says exactly where it is broken.

The standard library's reader in strict mode, because pandas pads short rows, cuts texts at a NUL byte and holds
the rest of the file in memory after an unclosed quote.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pandas as pd

from stages.core.errors import InputError

ROWS_PER_CHUNK = 16_384
LONGEST_FIELD = 131_072  # characters; a longer one is a quote that was never closed


def read_chunks(path: Path, columns: list[str], rows: int = ROWS_PER_CHUNK) -> Iterator[pd.DataFrame]:
    """Yield the named columns as strings, `rows` rows at a time, indexed by row number (the first review is 1).

    Raises:
        InputError: the file is missing, a folder, empty or without rows, not UTF-8, or lacks a column; or a row has
            too few or too many fields, a NUL byte, or a quote that is never closed.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file; expected a CSV file of reviews (see prepare.source)")
    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected a CSV file of reviews")
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from _chunks(path, file, columns, rows)


def _chunks(path: Path, file: IO[str], columns: list[str], rows: int) -> Iterator[pd.DataFrame]:
    records = _records(path, file)
    header = next(records, None)
    if header is None:
        raise InputError(f"{path}: is empty, expected a header row and reviews")
    positions = _positions(path, header, columns)
    pending: list[list[str]] = []
    first = 1
    for row, record in enumerate(records, start=1):
        if len(record) != len(header):
            raise InputError(f"{path}: row {row} has {len(record)} fields, expected {len(header)} as in the header")
        pending.append([record[position] for position in positions])
        if len(pending) == rows:
            yield _frame(pending, columns, first)
            pending, first = [], row + 1
    if pending:
        yield _frame(pending, columns, first)
    elif first == 1:
        raise InputError(f"{path}: has a header and no rows, expected reviews")


def _records(path: Path, file: IO[str]) -> Iterator[list[str]]:
    """Yield non-empty records; what the decoder or the reader refuses is named by its row."""
    row = 0  # the header
    csv.field_size_limit(LONGEST_FIELD)
    try:
        for record in csv.reader(_lines_without_nul(file), strict=True):
            if record:
                yield record
                row += 1
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise InputError(f"{path}: byte 0x{byte:02x} after row {row} is not UTF-8; save the file as UTF-8") from None
    except csv.Error as error:
        reason = str(error)
        if "end of data" in reason or "field limit" in reason:
            reason = "a quoted field is never closed"
        raise InputError(f"{path}: row {row}: {reason}, expected well-formed CSV") from None


def _lines_without_nul(file: IO[str]) -> Iterator[str]:
    for line in file:
        if "\0" in line:
            raise csv.Error("holds a NUL byte")
        yield line


def _positions(path: Path, header: list[str], columns: list[str]) -> list[int]:
    for column in columns:
        if column not in header:
            raise InputError(f"{path}: column '{column}' is missing; found {', '.join(map(repr, header))}")
        if header.count(column) > 1:
            raise InputError(f"{path}: column '{column}' stands {header.count(column)} times in the header, expected 1")
    return [header.index(column) for column in columns]


def _frame(records: list[list[str]], columns: list[str], first: int) -> pd.DataFrame:
    return pd.DataFrame(records, columns=columns, index=range(first, first + len(records)), dtype="str")
