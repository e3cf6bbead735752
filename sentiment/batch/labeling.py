"""A unit in; its output written, and what came of it, out. This is what a worker does, whatever engine runs it."""

import io
from functools import partial
from pathlib import Path
from typing import Any

from sentiment.batch.content import read_unit
from sentiment.batch.metadata import Counts, OutputMetadata
from sentiment.batch.settings import Settings
from sentiment.batch.storage import storage_for
from sentiment.batch.units import Unit
from sentiment.batch.work import Job, OnRows, Reply, shorten
from sentiment.common.errors import InputError, PipelineError, one_line
from sentiment.inference.classifier import SentimentClassifier
from sentiment.inference.formats import PredictionSummary
from sentiment.inference.readers import InputColumns, PredictionBatch
from sentiment.inference.writers import parquet_writer


class Labeler:
    """Labels units with one classifier, loaded once.

    Args:
        settings: of the run.
        folder: of the classifier.

    Raises:
        ClassifierError: it is missing or damaged.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.classifier = SentimentClassifier.load(folder, settings.device)
        self.inputs, self.outputs = storage_for(settings.inputs), storage_for(settings.outputs)

    def run(self, unit: Unit, on_rows: OnRows | None = None, payload: Any = None) -> Reply:
        """Label the rows of a unit and write its output; see `Worker.run`."""
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


def labeling_job(settings: Settings, folder: Path) -> Job:
    """Return the job of labeling units with the classifier in `folder`."""
    return Job(partial(Labeler, settings), folder, settings.device, settings.threads)
