"""A unit in; its rows as an InputTable, with the ids that they have in the whole file, out."""

import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

from sentiment.batch.storage import Storage
from sentiment.batch.units import TO_END, Part, Unit
from sentiment.common.errors import InputError, one_line
from sentiment.inference.formats import READERS, suffix
from sentiment.inference.readers import InputBatch, InputColumns, InputTable, from_parquet
from sentiment.inference.streams import GZIP


@contextmanager
def read_unit(unit: Unit, storage: Storage, columns: InputColumns) -> Iterator[InputTable]:
    """Open a unit's file and yield its rows, as `sentiment predict` reads them in the whole file.

    Raises:
        InputError: the file is gone, has changed, or cannot be read.
    """
    name, part = unit.file.name, unit.part
    with storage.open(unit.file) as raw:
        if suffix(name) == ".parquet":
            yield from_parquet(name, raw, columns, (part.start, part.stop))
            return
        with decompressed(name, raw) as content:
            sections = io.BufferedReader(_Sections(content, part))
            table = READERS[suffix(name)](name, sections, columns)
            repeated = 1 if part.header and suffix(name) == ".jsonl" else 0
            yield InputTable(name, table.types, _moved(table.batches, repeated, part.first_row - 1 - repeated))


@contextmanager
def decompressed(name: str, raw: IO[bytes]) -> Iterator[IO[bytes]]:
    """Yield the decompressed content of a file whose name ends in .gz, the content of any other.

    Raises:
        InputError: it is no gzip file, or a damaged one.
    """
    if not name.lower().endswith(GZIP):
        yield raw
        return
    try:
        with gzip.open(raw) as content:
            yield content  # type: ignore[misc]  # GzipFile is no IO[bytes] to mypy
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InputError(f"{name}: damaged gzip file ({one_line(error)})") from None


class _Sections(io.RawIOBase):
    """The bytes of a file's header, and after them those of a part."""

    def __init__(self, file: IO[bytes], part: Part) -> None:
        self._file = file
        self._sections = [(0, part.header)] if part.header else []
        self._sections.append((part.start, part.stop))
        self._left: int | None = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some bytes into a buffer; return their number."""
        while self._left == 0 and self._sections:
            start, stop = self._sections.pop(0)
            self._file.seek(start)
            self._left = None if stop == TO_END else stop - start
        data = self._file.read(len(buffer) if self._left is None else min(len(buffer), self._left))
        buffer[: len(data)] = data
        if self._left is not None:
            self._left -= len(data)
        return len(data)


def _moved(batches: Iterator[InputBatch], skip: int, shift: int) -> Iterator[InputBatch]:
    """Yield the batches without the first `skip` rows, their row numbers `shift` higher."""
    for batch in batches:
        rows = slice(skip, None)
        ids: Sequence[Any] = batch.ids[rows]
        if isinstance(ids, range):  # row numbers, for a file without a column id
            ids = range(ids.start + shift, ids.stop + shift)
        yield InputBatch(
            batch.first + skip + shift,
            ids,
            batch.texts[rows],
            {index - skip: error for index, error in batch.errors.items() if index >= skip},
            {name: values[rows] for name, values in batch.passthrough.items()},
        )
        skip = 0
