"""A unit in; its output written, and what came of it, out. This is what a worker does, whatever engine runs it."""

import io
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from sentiment.common.errors import InputError, PipelineError, one_line
from sentiment.inference.batches import PredictionBatch
from sentiment.inference.classifier import SentimentClassifier
from sentiment.inference.readers import InputColumns
from sentiment.inference.summary import PredictionSummary
from sentiment.inference.writers import parquet_writer
from sentiment.jobs.content import read_unit
from sentiment.jobs.metadata import Counts, OutputMetadata
from sentiment.jobs.settings import Settings
from sentiment.jobs.storage import storage_for
from sentiment.jobs.units import Unit

MAX_REASON = 500  # characters; a message may name every column of a header

OnRows = Callable[[int], object]


@dataclass(frozen=True)
class Reply:
    """What came of a unit.

    Attributes:
        outcome: "written"; "failed" where its input cannot be read; "fatal" where no other unit would fare better.
        reason: why not, one line.
        counts: of its rows.
    """

    outcome: Literal["written", "failed", "fatal"]
    reason: str = ""
    counts: Counts = field(default_factory=Counts)

    def as_mapping(self) -> dict[str, Any]:
        """Return a mapping that another process can read."""
        return asdict(self)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "Reply":
        """Return the reply of a mapping that `as_mapping` returned."""
        return cls(values["outcome"], values["reason"], Counts(**values["counts"]))


class Labeler:
    """Labels units with one classifier, loaded once.

    Args:
        settings: of the run.
        folder: of the classifier.

    Raises:
        ClassifierError: it is missing or damaged.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        import torch  # here, so that the number of threads holds before anything is computed

        if settings.threads:
            torch.set_num_threads(settings.threads)
        self.settings = settings
        self.classifier = SentimentClassifier.load(folder, settings.device)
        self.inputs, self.outputs = storage_for(settings.inputs), storage_for(settings.outputs)

    def label(self, unit: Unit, on_rows: OnRows | None = None) -> Reply:
        """Label the rows of a unit and write its output; what is wrong with its input is returned, not raised.

        Args:
            unit: to label.
            on_rows: called with the number of texts labeled, after each batch of the encoder.
        """
        try:
            data, counts = self.labeled(unit, on_rows)
            self.outputs.put(f"{self.settings.outputs}/{unit.output}", data)
        except InputError as error:
            return Reply("failed", shorten(one_line(error)))
        except PipelineError as error:  # the classifier or the storage: every unit would fail
            return Reply("fatal", shorten(one_line(error)))
        except Exception as error:  # whatever a damaged file makes a reader raise: the other units go on
            return Reply("failed", shorten(f"{unit.file.name}: {type(error).__name__}: {one_line(error)}"))
        return Reply("written", counts=counts)

    def labeled(self, unit: Unit, on_rows: OnRows | None = None) -> tuple[bytes, Counts]:
        """Return the output of a unit, and its counts; raises InputError where its input cannot be read."""
        settings, summary = self.settings, PredictionSummary(self.classifier.labels)
        columns = InputColumns(settings.text_columns, settings.keep_columns)
        data = io.BytesIO()

        def metadata() -> dict[str, str]:
            made_of = (unit.path, unit.file.etag, unit.part, unit.parts, settings.unit_rows)
            return OutputMetadata(settings.fingerprint, *made_of, as_counts(summary)).as_key_values()

        with read_unit(unit, self.inputs, columns) as table, parquet_writer(data, table.types, metadata) as write:
            for batch in table.batches:
                probabilities = self.classifier.predict_proba(batch.texts, on_rows)
                predictions = PredictionBatch(
                    batch, probabilities, self.classifier.label(probabilities, settings.threshold)
                )
                write(predictions)
                summary.add(predictions)
        return data.getvalue(), as_counts(summary)


def as_counts(summary: PredictionSummary) -> Counts:
    """Return the counts of a summary."""
    return Counts(
        summary.rows,
        summary.counts["positive"],
        summary.counts["negative"],
        summary.without_text,
        summary.broken,
    )


def load_labeler(settings: Settings, folder: Path) -> Labeler | Reply:
    """Return a Labeler, or the reply to every unit where the classifier cannot be loaded."""
    if settings.threads:  # read when the libraries are imported
        os.environ["OMP_NUM_THREADS"] = os.environ["RAYON_NUM_THREADS"] = str(settings.threads)
    try:
        return Labeler(settings, folder)
    except PipelineError as error:
        return Reply("fatal", shorten(one_line(error)))


def shorten(reason: str) -> str:
    """Return at most `MAX_REASON` characters."""
    return reason if len(reason) <= MAX_REASON else f"{reason[: MAX_REASON - 1]}…"
