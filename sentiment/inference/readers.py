"""Read texts from arguments, lines, CSV or TSV, each as an InputTable; JSON and Parquet have modules of their own.

A broken row keeps its position without a text, with its error. The id is the input's column `id` where it has one,
else the number of the row.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from sentiment.common.errors import InputError
from sentiment.data.csv_reader import RowError, as_text, column_indices, find_invalid_text, read_records
from sentiment.data.text import join_text
from sentiment.inference.batches import InputBatch, InputTable, growing_batches

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
    id_index = header.index(ID) if ID in header else None

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
