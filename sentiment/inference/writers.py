"""Write labeled rows batch by batch: readable lines, CSV, JSON lines or Parquet."""

import csv
import io
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sentiment.common.command import printable
from sentiment.data.readers import ID, InputBatch

if TYPE_CHECKING:
    from sentiment.inference.explanation import Explanation

OUTPUT_COLUMNS = ("probability", "sentiment")
EXPLANATION = "explanation"  # one more output column, where it is asked for


@dataclass(frozen=True)
class PredictionBatch:
    """An InputBatch with its predictions.

    Attributes:
        probabilities: of "positive", shape (n_rows,); NaN where there is no text.
        labels: the label of each row; None where there is no text.
        explanations: one per row, None where there is no text; or None where none were asked for.
    """

    inputs: InputBatch
    probabilities: NDArray[np.float32]
    labels: Sequence[str | None]
    explanations: "Sequence[Explanation | None] | None" = None

    def columns(self) -> dict[str, Sequence[Any]]:
        """Return the output's columns; probability (6 decimals) and sentiment are None where there is no text."""
        probabilities = self.probabilities.tolist()
        columns = {
            ID: self.inputs.ids,
            "probability": [None if np.isnan(p) else round(p, 6) for p in probabilities],
            "sentiment": self.labels,
            **self.inputs.passthrough,
        }
        if self.explanations is not None:
            texts = zip(self.inputs.texts, self.explanations, strict=True)
            columns[EXPLANATION] = [one and one.as_mapping(text) for text, one in texts]
        return columns


Write = Callable[[PredictionBatch], None]
Writer = Callable[[IO[bytes], Mapping[str, Any]], AbstractContextManager[Write]]

MIN_TEXT_WIDTH = 20  # columns of the terminal that the text gets, however narrow the terminal is
TEXT_COLUMN = len("positive  0.000  ")


@contextmanager
def text_writer(file: IO[bytes], types: Mapping[str, Any]) -> Iterator[Write]:
    """A line per row: label, probability, start of the text; with explanations, one more with the strongest words."""
    width = max(MIN_TEXT_WIDTH, shutil.get_terminal_size().columns - TEXT_COLUMN)

    def write(predictions: PredictionBatch) -> None:
        explanations = predictions.explanations or [None] * len(predictions.labels)
        lines = []
        for label, probability, text, explanation in zip(
            predictions.labels, predictions.probabilities.tolist(), predictions.inputs.texts, explanations, strict=True
        ):
            prediction = f"{label}  {probability:.3f}" if label else "-                -"
            lines.append(f"{prediction}  {shorten(printable(text) or '(no text)', width)}\n")
            if explanation:
                lines.append(f"{' ' * TEXT_COLUMN}{printable(explanation.strongest_words(width))}\n")
        file.write("".join(lines).encode("utf-8", "replace"))
        file.flush()

    yield write


def shorten(text: str, width: int) -> str:
    """Return at most `width` characters of the text, cut between words where it is longer."""
    if len(text) <= width:
        return text
    start = text[: width - 1]
    words = start.rpartition(" ")[0].rstrip()
    return f"{words if len(words) > width // 2 else start}…"


@contextmanager
def csv_writer(file: IO[bytes], types: Mapping[str, Any], escape_formulas: bool = False) -> Iterator[Write]:
    """CSV with a header; None is an empty field. A text that a spreadsheet would run can get an apostrophe."""
    _write_csv(file, [list(output_types(types))])

    def write(predictions: PredictionBatch) -> None:
        rows = zip(*predictions.columns().values(), strict=True)
        fields = ([_csv_field(value) for value in row] for row in rows)
        _write_csv(file, ([_escaped(field) for field in row] for row in fields) if escape_formulas else fields)

    yield write


def _write_csv(file: IO[bytes], rows: Iterable[Sequence[Any]]) -> None:
    # encoded here: a text wrapper closes the file when it is garbage collected, which would complete a broken upload
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    file.write(text.getvalue().encode())
    file.flush()


def _escaped(field: Any) -> Any:
    return f"'{field}" if isinstance(field, str) and field.startswith(("=", "+", "-", "@", "\t", "\r")) else field


def _csv_field(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list | bool) else value


@contextmanager
def jsonl_writer(file: IO[bytes], types: Mapping[str, Any]) -> Iterator[Write]:
    """A JSON object per row; dates and the like are written as text."""

    def write(predictions: PredictionBatch) -> None:
        columns = predictions.columns()
        rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
        lines = [json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows]
        file.write("".join(lines).encode())
        file.flush()

    yield write


@contextmanager
def parquet_writer(
    file: IO[bytes], types: Mapping[str, Any], metadata: Callable[[], Mapping[str, str]] | None = None
) -> Iterator[Write]:
    """Parquet; JSON values that are not text are written as JSON text.

    Args:
        file: opened for writing.
        types: Arrow types of id and passthrough columns.
        metadata: called after the last row; what it returns is added to the file's metadata.
    """
    import pyarrow as pa  # 0.5 s that the other formats do not need
    import pyarrow.parquet as pq

    schema = pa.schema(list(output_types(types).items()))
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:

        def write(predictions: PredictionBatch) -> None:
            columns = predictions.columns()
            arrays = [
                pa.array(
                    [_as_text(value) for value in columns[field.name]]
                    if field.type == pa.string()
                    else columns[field.name],
                    field.type,
                )
                for field in schema
            ]
            writer.write_table(pa.table(arrays, schema=schema))
            file.flush()

        yield write
        if metadata:
            writer.add_key_value_metadata(dict(metadata()))


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def output_types(types: Mapping[str, Any]) -> dict[str, Any]:
    """Return the Arrow types of the output's columns, given the types of id and passthrough columns."""
    passthrough = {name: kind for name, kind in types.items() if name != "id"}
    return {"id": types["id"], "probability": "float32", "sentiment": "string", **passthrough}


WRITERS: dict[str, Writer] = {
    "text": text_writer,
    "csv": csv_writer,
    "jsonl": jsonl_writer,
    "parquet": parquet_writer,
}
