"""Find the units of a run: list the input files, and cut each into parts of at most so many rows.

Parquet is cut at row groups, and within a row group that is too long: its footer is enough. CSV and JSON lines are read
through to find where rows end, CSV by the reader that labeling uses, for a field may have line ends in it.
"""

import hashlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from sentiment.batch.storage import BadEntry, Storage
from sentiment.common.errors import InputError, ParamsError, one_line
from sentiment.data.csv_reader import Dialect, ReplayableLines, as_text, parse_records, read_line
from sentiment.data.readers import FIRST_ROWS, GZIP, decompressed, suffix
from sentiment.storage.s3 import S3, FileInfo

MAX_ROWS = 100_000  # of a unit: minutes of work, some megabytes of output
TO_END = -1
UNKNOWN = -1
MIN_ROW_SIZE = 2  # bytes: a character and a line end
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
FORMATS = (".parquet", ".csv", ".tsv", ".jsonl")  # all but Parquet also with .gz
HIDDEN = ("_", ".")  # first characters of names that are no inputs, as Hadoop, Spark and Arrow have it
WILDCARDS = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Part:
    """Where a unit's rows are in its file.

    Attributes:
        start, stop: rows of a Parquet file, else bytes of the decompressed content; `stop` may be `TO_END`.
        first_row: number of the first row; the file's first row is 1.
        rows: how many, or `UNKNOWN` where the file was too small to be counted beforehand.
        header: bytes at the start of the file that the unit is read with: a CSV file's header, the first rows of JSON
            lines, whose keys are the columns; 0 where the unit has them itself, and for Parquet.
        header_rows: rows in the header, which are not the unit's.
    """

    start: int = 0
    stop: int = TO_END
    first_row: int = 1
    rows: int = UNKNOWN
    header: int = 0
    header_rows: int = 0

    def is_whole_file(self) -> bool:
        """Return whether the unit is the file."""
        return self.start == 0 and self.stop == TO_END


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit of work.

    Attributes:
        file: the input.
        path: of the input, relative to the folder of inputs.
        index: of the unit in its file, from 0.
        part: where its rows are.
        parts: of every unit of the file, for the first unit of a file that was read through to cut it, else empty.
    """

    file: FileInfo
    path: str
    index: int
    part: Part
    parts: tuple[Part, ...] = ()

    @property
    def output(self) -> str:
        """Name of the output, relative to the folder of outputs."""
        return output_name(self.path, self.index)


def output_name(path: str, index: int) -> str:
    """Return the output of unit `index` of input `path`: `2025/may.csv.gz.00003.parquet`."""
    return f"{path}.{index:05d}.parquet"


@dataclass(frozen=True)
class Shard:
    """One of `n` runs that share the units by a hash of their names, whatever else each of them lists.

    >>> [Shard(index, 2).has("a.csv.00000.parquet") for index in range(2)].count(True)
    1
    """

    index: int = 0
    n: int = 1

    def has(self, output: str) -> bool:
        """Return whether the unit with this output is this shard's."""
        return int.from_bytes(hashlib.sha256(output.encode()).digest()[:8], "big") % self.n == self.index

    @property
    def suffix(self) -> str:
        """Return what distinguishes the shard's manifest: "", or ".0-of-3"."""
        return f".{self.index}-of-{self.n}" if self.n > 1 else ""


@dataclass(frozen=True)
class Inputs:
    """Which files are the inputs.

    Attributes:
        folder: what their relative paths start from.
        pattern: what a relative path must match, or None for every file of a known format.
    """

    folder: str
    pattern: re.Pattern[str] | None = None

    @classmethod
    def parse(cls, argument: str) -> "Inputs":
        """Read a folder, `s3://bucket/prefix`, a file, or a glob: `*` in a name, `**` over folders, `?`, `[ab]`.

        Raises:
            ParamsError: `**` is a part of a name.
        """
        from fsspec.utils import glob_translate  # the standard library has one from Python 3.13 on

        is_there = not argument.startswith(S3) and Path(argument).exists()  # whatever its name holds
        if is_there or not (wildcard := WILDCARDS.search(argument.removeprefix(S3))):
            return cls(argument.rstrip("/") or "/")
        position = wildcard.start() + (len(S3) if argument.startswith(S3) else 0)
        folder, _, _ = argument[:position].rpartition("/")
        pattern = argument[len(folder) + 1 :] if folder else argument.removeprefix("/")
        try:
            regex = re.compile(glob_translate(pattern))
        except ValueError as error:
            raise ParamsError(f"{argument}: {one_line(error)}") from None
        return cls(folder or ("/" if argument.startswith("/") else "."), regex)

    def matches(self, path: str) -> bool:
        """Return whether the pattern takes a path below the folder; without one, each is taken."""
        return self.pattern is None or self.pattern.fullmatch(path) is not None

    def list(self, storage: Storage) -> Iterator[tuple[str, FileInfo | BadEntry]]:
        """Yield (relative path, file) of each input, also of one that cannot be read.

        Raises:
            InputError: a single file has another format, or the folder cannot be read.
        """
        for file in storage.list(self.folder):
            if file.name == self.folder:  # a single file, or the folder itself
                path = file.name.rpartition("/")[2]
                if isinstance(file, BadEntry):
                    raise InputError(f"{file.name}: {file.reason}")
                if not is_supported(path):
                    raise InputError(f"{file.name}: format is not supported; expected {', '.join(FORMATS)} or a folder")
                yield path, file
                continue
            path = file.name[len(self.folder.rstrip("/")) + 1 :]
            is_hidden = any(name.startswith(HIDDEN) for name in path.split("/"))
            is_input = is_supported(path) and self.matches(path)
            if not is_hidden and (is_input or (isinstance(file, BadEntry) and file.is_folder)):
                yield path, file


def is_supported(path: str) -> bool:
    """Return whether the name's ending is that of a known format."""
    return suffix(path) in FORMATS and not path.lower().endswith(".parquet.gz")


def cut(file: FileInfo, storage: Storage, max_rows: int) -> list[Part]:
    """Return the parts of a file, in order, each of at most `max_rows` rows; one of unknown length for a small file.

    Raises:
        InputError: the file is gone or damaged.
    """
    kind = suffix(file.name)
    if kind == ".parquet":
        try:
            with storage.open(file) as raw:
                metadata = pq.ParquetFile(raw, pre_buffer=False).metadata
        except (pa.ArrowException, OSError, EOFError) as error:
            raise InputError(f"{file.name}: not a Parquet file ({one_line(error)[:200]})") from None
        groups = range(metadata.num_row_groups)
        return cut_row_groups([metadata.row_group(index).num_rows for index in groups], max_rows)
    is_compressed = file.name.lower().endswith(GZIP)
    if file.size <= max_rows * MIN_ROW_SIZE and not is_compressed:
        return [Part()]
    with storage.open(file) as raw, decompressed(file.name, raw) as content:
        if kind == ".jsonl":
            return cut_json_lines(_json_ends(file.name, content), max_rows)
        return cut_at(_csv_ends(content, "\t" if kind == ".tsv" else ","), max_rows)


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


def cut_json_lines(ends: Iterator[int], max_rows: int) -> list[Part]:
    """Return parts of `max_rows` rows, given where each row ends; the keys of the file's first rows are the columns."""
    first_ends = list(itertools.islice(ends, FIRST_ROWS))
    parts = cut_at(itertools.chain([0], first_ends, ends), max_rows)
    if not first_ends:
        return [Part()]
    return [
        part
        if len(parts) == 1 or (part.first_row == 1 and part.rows >= len(first_ends))
        else replace(part, header=first_ends[-1], header_rows=len(first_ends))
        for part in parts
    ]


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
    for _ in parse_records(lines, Dialect(delimiter)):
        yield mark + lines.position


def _json_ends(name: str, content: IO[bytes]) -> Iterator[int]:
    """Yield where each line ends that is not blank, in bytes."""
    position = 0
    while line := read_line(content, name):
        position += len(line)
        if line.decode("utf-8-sig" if position == len(line) else "utf-8", "surrogateescape").strip():
            yield position
