"""Read texts from a Parquet file as an InputTable; passthrough columns keep their types."""

from collections.abc import Iterator
from typing import IO, Any

from sentiment.common.errors import InputError, one_line
from sentiment.data.csv_reader import column_indices
from sentiment.data.text import join_text
from sentiment.inference.batches import MAX_ROWS, InputBatch, InputTable
from sentiment.inference.readers import ID, InputColumns


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
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)):
            raise InputError(f"{name}: column '{column}' has type {kind}, expected text")
    passthrough = columns.passthrough(name, schema.names)
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
