"""Name splits and labels; read and write Parquet tables in row groups, so that memory does not grow with them."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from sentiment.common.errors import InputError, one_line
from sentiment.common.files import atomic

SPLITS = ("train", "val", "test")
SCORED = VAL, TEST = ("val", "test")  # one chooses by val, and looks at test once, for one chosen result
LABELS: tuple[Literal["negative"], Literal["positive"]] = ("negative", "positive")  # names of the labels 0 and 1
UNSURE = "unsure"  # the answer between two thresholds, where a classifier has them
FOLD = "fold"  # column of test, where every review is in it
ROWS_PER_GROUP = 16_384  # some 5 MB of reviews in memory; smaller groups compress worse


def join_names(names: Sequence[str]) -> str:
    r"""Return the names of columns as metadata: one a line; as JSON where a name has a line break, as Excel's may.

    >>> join_names(["Title", "Review Text"]), join_names(["Review\nText"])
    ('Title\nReview Text', '["Review\\nText"]')
    """
    joined = "\n".join(names)
    return json.dumps(names) if joined.startswith("[") or joined.count("\n") >= len(names) else joined


def split_names(joined: str) -> tuple[str, ...]:
    r"""Return what `join_names` joined.

    >>> split_names(join_names(["Review\nText", "Title"]))
    ('Review\nText', 'Title')
    """
    return tuple(json.loads(joined) if joined.startswith("[") else joined.split("\n"))


def open_table(path: Path) -> pq.ParquetFile:
    """Open a Parquet file.

    Raises:
        InputError: the file is missing, is a folder, or is not Parquet.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; run `dvc repro` or `dvc pull`")
    try:
        # with pre_buffer, all that was read stays in memory until the file is closed
        return pq.ParquetFile(path, pre_buffer=False)
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: not a Parquet file ({one_line(error)[:200]})") from None


def read_content(content: bytes) -> pa.Table:
    """Return the table that the bytes of a Parquet file hold, read by this thread alone.

    Arrow's own threads let go of the bytes after the last row is read. Where Python is ending by then, that aborts the
    process (apache/arrow#34314): one of some hundred, on a busy machine. `pq.read_table` starts one, whatever
    `use_threads` says.

    Raises:
        pyarrow.ArrowException, OSError: it is not Parquet, or damaged.
    """
    return pq.ParquetFile(pa.BufferReader(content), pre_buffer=False).read(use_threads=False)


def read_column(path: Path, name: str) -> pa.ChunkedArray:
    """Return one whole column; meant for narrow ones such as ids and labels. # (n_rows,)

    Raises:
        InputError: the table does not have it.
    """
    table = open_table(path)
    if name not in table.schema_arrow.names:
        raise InputError(f"{path}: column '{name}' is missing; found {', '.join(table.schema_arrow.names)}")
    return table.read(columns=[name]).column(name)


def batches(path: Path, columns: Sequence[str] | None = None, rows: int = ROWS_PER_GROUP) -> Iterator[pa.RecordBatch]:
    """Yield the table in file order, at most `rows` rows at a time."""
    yield from open_table(path).iter_batches(rows, columns=None if columns is None else list(columns))


class TableWriter:
    """Collects record batches into row groups of `ROWS_PER_GROUP` rows; see `table_writer`.

    Attributes:
        rows: written so far.
        schema: of the table.
    """

    def __init__(self, parquet: pq.ParquetWriter) -> None:
        self.rows = 0
        self.schema: pa.Schema = parquet.schema
        self._parquet = parquet
        self._pending = self.schema.empty_table()

    def write(self, batch: pa.RecordBatch) -> None:
        """Append a batch of the table's schema."""
        self.rows += batch.num_rows
        self._pending = pa.concat_tables([self._pending, pa.Table.from_batches([batch], self.schema)])
        if self._pending.num_rows >= ROWS_PER_GROUP:
            n_complete = self._pending.num_rows - self._pending.num_rows % ROWS_PER_GROUP
            self._parquet.write_table(self._pending.slice(0, n_complete), row_group_size=ROWS_PER_GROUP)
            self._pending = self._pending.slice(n_complete)

    def flush(self) -> None:
        """Write the remaining rows as the last, shorter row group."""
        if self._pending.num_rows:
            self._parquet.write_table(self._pending)


@contextmanager
def table_writer(path: Path, schema: pa.Schema) -> Iterator[TableWriter]:
    """Write a Parquet file that appears under `path` only when the block ends without an error."""
    with atomic(path) as partial, pq.ParquetWriter(partial, schema, compression="zstd") as parquet:
        writer = TableWriter(parquet)
        yield writer
        writer.flush()
