"""Unit: the rows of one input that one process labels or encodes at a time, and the name of its output."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from sentiment.batch.storage import FileInfo

MAX_ROWS = 100_000  # of a unit: minutes of work, some megabytes of output
TO_END = -1
UNKNOWN = -1


@dataclass(frozen=True)
class Part:
    """Where a unit's rows are in its file.

    Attributes:
        start, stop: rows of a Parquet file, else bytes of the decompressed content; `stop` may be `TO_END`.
        first_row: number of the first row; the file's first row is 1.
        rows: how many, or `UNKNOWN` where the file was too small to be counted beforehand.
        header: bytes at the start of the file that the unit is read with: a CSV file's header, the first object of
            JSON lines, whose keys are the columns; 0 for Parquet and for the file's first unit.
    """

    start: int = 0
    stop: int = TO_END
    first_row: int = 1
    rows: int = UNKNOWN
    header: int = 0


@dataclass(frozen=True)
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

    @property
    def name(self) -> str:
        """What messages name it by."""
        return f"{self.file.name}, unit {self.index}"

    def as_mapping(self) -> dict[str, Any]:
        """Return a mapping that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Return the unit of a mapping that `as_mapping` returned."""
        parts = tuple(Part(**part) for part in values["parts"])
        return cls(FileInfo(**values["file"]), values["path"], values["index"], Part(**values["part"]), parts)


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
