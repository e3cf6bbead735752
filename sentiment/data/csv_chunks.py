"""A CSV file of any size in; data frames of some thousand rows out, until the first broken row stops it."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from sentiment.common.errors import InputError
from sentiment.data.csv_reader import RowError, column_indices, read_records

ROWS_PER_CHUNK = 16_384  # some 10 MB of reviews; a longer chunk is no faster


def read_chunks(path: Path, columns: list[str], rows: int = ROWS_PER_CHUNK) -> Iterator[pd.DataFrame]:
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


def _frame(records: list[list[str]], columns: list[str], first_row: int) -> pd.DataFrame:
    return pd.DataFrame(records, columns=columns, index=range(first_row, first_row + len(records)), dtype="str")
