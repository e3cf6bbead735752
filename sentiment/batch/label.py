"""Label one unit: read its rows as `sentiment predict` does, and write a Parquet file that says what it was made of."""

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal, Self

import pyarrow as pa
import pyarrow.parquet as pq

from sentiment.batch.storage import Storage, printable, storage_for
from sentiment.batch.units import MAX_ROWS, TO_END, Part, Unit
from sentiment.common.errors import InputError, PipelineError, StorageError, one_line
from sentiment.common.tables import UNSURE
from sentiment.data.readers import InputBatch, InputColumns, InputTable, decompressed, from_parquet, suffix
from sentiment.encoder.config import Device
from sentiment.head.classifier import CONFIG, HEAD, Classifier
from sentiment.inference.classifier import SentimentClassifier
from sentiment.inference.formats import OUTPUT_COLUMNS, READERS, PredictionBatch, PredictionSummary, parquet_writer

FORMAT = 1  # of an output; a higher number labels every unit again
KEY = b"sentiment"  # of the metadata in a Parquet file
TAIL_SIZE = 65_536  # bytes read first; the footer of an output without --keep-columns has some 10,000
ID_SIZE = 8  # bytes of the hash of an id
MAX_REASON = 500  # characters; a message may name every column of a header


@dataclass(frozen=True)
class Settings:
    """Settings of a run that every unit is labeled with.

    Attributes:
        inputs, outputs: folder or s3:// prefix.
        text_columns: columns that are joined into a text; by default those of training.
        threshold: positive from this probability on; None for the classifier's.
        keep_columns: whether all columns of the input are written to the output too.
        device: where to compute.
        unit_rows: most rows of a unit.
        fingerprint: SHA-256 of the classifier and of the other settings that change an output.
    """

    inputs: str
    outputs: str
    text_columns: tuple[str, ...] = ()
    threshold: float | None = None
    keep_columns: bool = False
    device: Device = "auto"
    unit_rows: int = MAX_ROWS
    fingerprint: str = ""

    def of_classifier(self, folder: Path) -> Self:
        """Return the settings with the classifier's text columns and fingerprint.

        The classifier's config holds the fingerprint of its encoder, so the encoder need not be read here.

        Raises:
            ClassifierError: the classifier is missing or damaged.
        """
        columns = self.text_columns or tuple(Classifier.load(folder).config.features.text_columns)
        content = {
            "format": FORMAT,
            "files": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (HEAD, CONFIG)},
            "text_columns": columns,
            "threshold": self.threshold,
            "keep_columns": self.keep_columns,
        }
        fingerprint = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return replace(self, text_columns=columns, fingerprint=fingerprint)


@dataclass(frozen=True)
class Counts:
    """Rows of an output, by what became of them; rows without text and broken ones have no label."""

    rows: int = 0
    positive: int = 0
    negative: int = 0
    without_text: int = 0
    broken: int = 0
    unsure: int = 0


@dataclass(frozen=True)
class OutputMetadata:
    """What the footer of an output says.

    Attributes:
        classifier: fingerprint of the run's settings.
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
        expected = (fingerprint, unit.file.etag, unit.part, unit.parts)
        return (self.classifier, self.etag, self.part, self.parts) == expected

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


@dataclass(frozen=True)
class Result:
    """What came of a unit.

    Attributes:
        outcome: "written"; "kept" where its output is there already; "failed" where its input cannot be read;
            "pending" before.
        counts: of its rows.
        reason: why it failed, one line.
        ids: a hash of each value of the column id, where the input has one and the unit was labeled now.
    """

    outcome: Literal["written", "kept", "failed", "pending"]
    counts: Counts = Counts()
    reason: str = ""
    ids: bytes = b""


PENDING = Result("pending")


class Labeler:
    """Labels units with one classifier, loaded once.

    Args:
        settings: of the run.
        marker: a file that the driver has written to a local folder of outputs, or "".
        folder: of the classifier.

    Raises:
        ClassifierError: the classifier is missing or damaged.
        StorageError: this machine's folder of outputs is not the driver's.
    """

    def __init__(self, settings: Settings, marker: str, folder: Path) -> None:
        if marker and not Path(marker).exists():
            raise StorageError(
                f"--output {settings.outputs}: is another folder on a machine of the cluster; expected "
                "s3://bucket/prefix, or a folder that all machines have mounted under this path"
            )
        self.settings = settings
        self.classifier = SentimentClassifier.load(folder, settings.device)
        self.inputs, self.outputs = storage_for(settings.inputs), storage_for(settings.outputs)

    def __call__(self, unit: Unit, on_rows: Callable[[int], object] | None = None) -> Result:
        """Label the rows of a unit and write its output, unless another run has written it meanwhile.

        Args:
            unit: to label.
            on_rows: called with the number of texts done, after each batch of the encoder.

        Raises:
            PipelineError: the classifier or the storage fails, as they would for every other unit.
        """
        name = f"{self.settings.outputs}/{unit.output}"
        found = OutputMetadata.read(self.outputs, name)
        if found and found.is_of(unit, self.settings.fingerprint):
            return Result("kept", found.counts)
        try:
            data, result = self.labeled(unit, on_rows)
        except InputError as error:
            return Result("failed", reason=shorten(one_line(error)))
        except PipelineError:
            raise
        except Exception as error:  # whatever a damaged file makes a reader raise: the other units go on
            reason = f"{unit.file.name}: {type(error).__name__}: {one_line(error)}"
            return Result("failed", reason=shorten(reason))
        self.outputs.put(name, data)
        return result

    def labeled(self, unit: Unit, on_rows: Callable[[int], object] | None = None) -> tuple[bytes, Result]:
        """Return the output of a unit, and its counts; raises InputError where its input cannot be read."""
        settings, summary, ids = self.settings, PredictionSummary(), bytearray()
        data = io.BytesIO()

        def metadata() -> dict[str, str]:
            made_of = (unit.path, unit.file.etag, unit.part, unit.parts, settings.unit_rows)
            return OutputMetadata(settings.fingerprint, *made_of, as_counts(summary)).as_key_values()

        columns = InputColumns(settings.text_columns, None if settings.keep_columns else (), OUTPUT_COLUMNS)
        with read_unit(unit, self.inputs, columns) as table, parquet_writer(data, table.types, metadata) as write:
            for batch in table.batches:
                probabilities = self.classifier.predict_proba(batch.texts, on_rows)
                labels = self.classifier.label(probabilities, settings.threshold)
                predictions = PredictionBatch(batch, probabilities, labels)
                write(predictions)
                summary.add(predictions)
                ids += hash_ids(batch.ids)
        return data.getvalue(), Result("written", as_counts(summary), ids=bytes(ids))


def hash_ids(ids: Sequence[Any]) -> bytes:
    """Return `ID_SIZE` bytes for each id; none for row numbers, and for a row without id."""
    if isinstance(ids, range):
        return b""
    known = (value for value in ids if value is not None and value != "")
    hashes = (hashlib.blake2b(str(value).encode("utf-8", "replace"), digest_size=ID_SIZE) for value in known)
    return b"".join(value.digest() for value in hashes)


def as_counts(summary: PredictionSummary) -> Counts:
    """Return the counts of a summary."""
    labels = summary.counts
    return Counts(
        summary.rows, labels["positive"], labels["negative"], summary.without_text, summary.broken, labels[UNSURE]
    )


def shorten(reason: str) -> str:
    """Return at most `MAX_REASON` characters that can be written as UTF-8."""
    reason = printable(reason)
    return reason if len(reason) <= MAX_REASON else f"{reason[: MAX_REASON - 1]}…"


@contextmanager
def read_unit(unit: Unit, storage: Storage, columns: InputColumns) -> Iterator[InputTable]:
    """Open a unit's file and yield its rows, as `sentiment predict` reads them in the whole file.

    Raises:
        InputError: the file is gone, has changed, or cannot be read.
    """
    name, part = unit.file.name, unit.part
    with storage.open(unit.file) as raw:
        if suffix(name) == ".parquet":
            yield from_parquet(name, raw, columns, rows=(part.start, part.stop))
            return
        with decompressed(name, raw) as content:
            rows = content if part.is_whole_file() else _read_part(content, part)
            table = READERS[suffix(name)](name, rows, columns)
            shift = part.first_row - 1 - part.header_rows
            yield InputTable(table.types, _moved(table.batches, part.header_rows, shift))


def _read_part(file: IO[bytes], part: Part) -> IO[bytes]:
    """Return the bytes of the file's header, and after them those of a part."""
    header = file.read(part.header)
    if header and not header.endswith(b"\n"):  # the header is the whole file, whose last line has no end
        header += b"\n"
    file.seek(part.start)
    return io.BytesIO(header + file.read(-1 if part.stop == TO_END else part.stop - part.start))


def _moved(batches: Iterator[InputBatch], skip: int, shift: int) -> Iterator[InputBatch]:
    """Yield the batches without the first `skip` rows, their row numbers `shift` higher."""
    for batch in batches:
        moved = batch.rows(skip, len(batch.texts))
        ids = moved.ids
        if isinstance(ids, range):  # row numbers, for a file without a column id
            ids = range(ids.start + shift, ids.stop + shift)
        yield replace(moved, first=moved.first + shift, ids=ids)
        skip = 0
