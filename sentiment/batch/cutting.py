"""An input file in; the parts of at most so many rows into which it is cut, out.

Parquet is cut at row groups, and within a row group that is too long: its footer is enough. CSV and JSON lines are read
through to find where rows end, CSV by the reader that labeling uses, for a field may have line ends in it. A
JSON array in a .jsonl file is one part, whatever its length.
"""

import itertools
from collections.abc import Iterator
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from sentiment.batch.content import decompressed
from sentiment.batch.storage import FileInfo, Storage
from sentiment.batch.units import TO_END, Part
from sentiment.common.errors import InputError, one_line
from sentiment.data.csv_reader import ReplayableLines, as_text, parse_records
from sentiment.inference.formats import suffix

MIN_ROW_SIZE = 2  # bytes: a character and a line end
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def cut(file: FileInfo, storage: Storage, max_rows: int) -> list[Part]:
    """Return the parts of a file, in order, each of at most `max_rows` rows; one of unknown length for a small file.

    Raises:
        InputError: the file is gone or damaged.
    """
    kind = suffix(file.name)
    if kind == ".parquet":
        with storage.open(file) as raw:
            return cut_row_groups(_row_groups(file.name, raw), max_rows)
    is_compressed = file.name.lower().endswith(".gz")
    if file.size <= max_rows * MIN_ROW_SIZE and not is_compressed:
        return [Part()]
    with storage.open(file) as raw, decompressed(file.name, raw) as content:
        ends = _json_ends(content) if kind == ".jsonl" else _csv_ends(content, "\t" if kind == ".tsv" else ",")
        return cut_at(ends, max_rows)


def cut_row_groups(rows: list[int], max_rows: int) -> list[Part]:
    """Return parts of whole row groups of these lengths; a row group of more than `max_rows` is cut by rows.

    >>> [(part.start, part.stop) for part in cut_row_groups([3, 2, 12], max_rows=5)]
    [(0, 5), (5, 10), (10, 15), (15, 17)]
    """
    cuts = [0]
    for end, length in zip(itertools.accumulate(rows), rows, strict=True):
        start = end - length
        if end - cuts[-1] > max_rows and start > cuts[-1]:
            cuts.append(start)
        while end - cuts[-1] > max_rows:
            cuts.append(cuts[-1] + max_rows)
    total = sum(rows)
    return [
        Part(start, stop, start + 1, stop - start)
        for start, stop in itertools.pairwise([*cuts, total])
        if stop > start or total == 0
    ]


def cut_at(ends: Iterator[int], max_rows: int) -> list[Part]:
    """Return parts of `max_rows` rows, given where the header ends, and then each row."""
    header = next(ends, None)
    if header is None:
        return [Part()]
    parts: list[Part] = []
    start, first_row, rows, end = 0, 1, 0, header
    for end in ends:
        rows += 1
        if rows == max_rows:
            parts.append(Part(start, end, first_row, rows, header if parts else 0))
            start, first_row, rows = end, first_row + rows, 0
    if rows or not parts:
        parts.append(Part(start, TO_END, first_row, rows, header if parts else 0))
    return parts


def _row_groups(name: str, file: IO[bytes]) -> list[int]:
    try:
        metadata = pq.ParquetFile(file, pre_buffer=False).metadata
        return [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
    except (pa.ArrowException, OSError, EOFError) as error:
        raise InputError(f"{name}: not a Parquet file ({one_line(error)[:200]})") from None


class _CountedLines(ReplayableLines):
    """Lines of which the bytes are counted that records have taken so far."""

    position = 0

    def __next__(self) -> str:
        line = super().__next__()
        self.position += _size(line)
        return line

    def rewind_to_second_line(self) -> None:
        self.position -= sum(map(_size, self.current[1:]))
        super().rewind_to_second_line()


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))


def _csv_ends(content: IO[bytes], delimiter: str) -> Iterator[int]:
    """Yield where the header ends, and then each record, in bytes."""
    mark = len(BYTE_ORDER_MARK) if content.read(3) == BYTE_ORDER_MARK else 0
    content.seek(0)
    lines = _CountedLines(as_text(content, newline=""))
    for _ in parse_records(lines, delimiter):
        yield mark + lines.position


def _json_ends(content: IO[bytes]) -> Iterator[int]:
    """Yield where each line ends that is not blank, in bytes; the first of them twice, for it is the header too."""
    position, is_first = 0, True
    for line in content:
        position += len(line)
        text = line.decode("utf-8-sig" if position == len(line) else "utf-8", "surrogateescape").strip()
        if text and is_first and text.startswith("["):
            return
        if text:
            yield position
            if is_first:
                yield position
            is_first = False
