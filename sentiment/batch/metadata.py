"""Metadata of an output: what it was made of and by, and how many rows it has, in the footer of the Parquet file."""

import io
import json
from dataclasses import asdict, dataclass
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from sentiment.batch.storage import Storage
from sentiment.batch.units import Part, Unit

KEY = b"sentiment"
TAIL_SIZE = 65_536  # bytes read first; the footer of an output without --keep-columns has some 10,000


@dataclass(frozen=True)
class Counts:
    """Rows of an output, by what became of them; rows without text and broken ones have no label."""

    rows: int = 0
    positive: int = 0
    negative: int = 0
    without_text: int = 0
    broken: int = 0


@dataclass(frozen=True)
class OutputMetadata:
    """What the footer of an output says.

    Attributes:
        classifier: fingerprint of the run's settings (`sentiment.batch.settings`).
        input: path of the input, relative to the folder of inputs.
        etag: of the input.
        part: which rows of it.
        parts: of every unit of the input, in the first unit's output.
        max_rows: rows of a unit when the input was cut.
        counts: of rows.
    """

    classifier: str
    input: str
    etag: str
    part: Part
    parts: tuple[Part, ...]
    max_rows: int
    counts: Counts

    def is_of(self, unit: Unit, fingerprint: str) -> bool:
        """Return whether the output is what labeling the unit would write."""
        return (self.classifier, self.etag, self.part, self.parts) == (
            fingerprint,
            unit.file.etag,
            unit.part,
            unit.parts,
        )

    def as_key_values(self) -> dict[str, str]:
        """Return the metadata as Parquet holds it."""
        return {KEY.decode(): json.dumps(asdict(self), sort_keys=True)}

    @classmethod
    def read(cls, storage: Storage, name: str) -> Self | None:
        """Read the metadata of an output; None where there is no file of that name, or not one of ours."""
        tail = storage.tail(name, TAIL_SIZE)
        if tail is None or len(tail) < 8 or tail[-4:] != b"PAR1":
            return None
        needed = int.from_bytes(tail[-8:-4], "little") + 8
        if needed > len(tail) and (tail := storage.tail(name, needed)) is None:
            return None
        try:
            values = json.loads((pq.read_metadata(io.BytesIO(tail)).metadata or {})[KEY])
            part, parts = Part(**values.pop("part")), tuple(Part(**one) for one in values.pop("parts"))
            return cls(part=part, parts=parts, counts=Counts(**values.pop("counts")), **values)
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError):
            return None
