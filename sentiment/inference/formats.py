"""Read texts and write predictions in the format that a name or an option gives: text, CSV, JSON lines, Parquet."""

import csv
import io
import json
import math
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from sentiment.common.command import printable
from sentiment.common.errors import ParamsError
from sentiment.common.params import load_params
from sentiment.common.tables import LABELS, UNSURE
from sentiment.data import readers
from sentiment.data.readers import (
    BINARY,
    ENDINGS,
    GZIP,
    ID,
    READERS_BY_FORMAT,
    FileFormat,
    InputBatch,
    InputColumns,
    InputTable,
    Reader,
    from_lines_or_json,
    suffix,
)
from sentiment.inference.streams import STANDARD

if TYPE_CHECKING:
    from sentiment.inference.explanation import Explanation

READERS: dict[str, Reader] = {
    **{ending: READERS_BY_FORMAT[name] for ending, name in ENDINGS.items()},
    ".txt": from_lines_or_json,
}
OUTPUT_FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".parquet": "parquet", ".txt": "text"}
SUPPORTED = f"{', '.join(READERS)}; all but .parquet and .xlsx also with {GZIP}"

OUTPUT_COLUMNS = ("probability", "sentiment")
EXPLANATION = "explanation"  # one more output column, where it is asked for


class PreparedFormat(FileFormat):
    """How a file is written, of the keys of section `prepare`."""

    model_config = ConfigDict(extra="ignore")


def is_input_name(argument: str) -> bool:
    """Return whether an argument names an input and is not a text to label.

    That is `-`, s3://…, a path that exists, or a supported ending: no review ends so, and a missing file is no review.
    A folder counts where the argument has a slash, because one word may be both a review and a folder.
    """
    if argument == STANDARD or argument.startswith("s3://") or suffix(argument) in READERS:
        return True
    try:
        return Path(argument).exists() and ("/" in argument or not Path(argument).is_dir())
    except (OSError, ValueError):  # too long for a path, or a NUL byte
        return False


def input_file(inputs: Sequence[str]) -> str | None:
    """Return the input that names a file, or None where all are texts; raises ParamsError where it is not alone."""
    files = list(filter(is_input_name, inputs))
    if files and len(inputs) > 1:
        raise ParamsError(f"{files[0]}: one file at a time, and no texts beside it")
    return files[0] if files else None


def reader_of(name: str, prepared: Path | None = None) -> Reader:
    """Return the reader of file `name`; raises ParamsError where its format is not supported.

    Args:
        prepared: a params.yaml whose section `prepare` says how the file is written; else its name says it.
    """
    if prepared:
        return _prepared_reader(name, prepared)
    path = Path(name)
    is_pipe = name != STANDARD and not name.startswith("s3://") and path.exists() and not path.is_file()
    if name == STANDARD or (is_pipe and not path.is_dir()):
        return from_lines_or_json
    reader = READERS.get(suffix(name))
    if reader is None or (name.lower().endswith(GZIP) and ENDINGS[suffix(name)] in BINARY):
        raise ParamsError(f"{name}: format is not supported; expected a name that ends in {SUPPORTED}")
    return reader


def _prepared_reader(name: str, params: Path) -> Reader:
    layout = load_params(params, "prepare", PreparedFormat)
    reader = readers.reader_of(name, layout)

    def read(name: str, file: IO[bytes], columns: InputColumns, _: FileFormat = layout) -> InputTable:
        return reader(name, file, columns, layout)

    return read


def output_format(requested: str | None, output: str, on_terminal: bool) -> str:
    """Return a key of `WRITERS`: the requested one, else by the output's ending, else text on a terminal, else CSV.

    Raises:
        ParamsError: the output's ending is not supported, or Parquet is requested on standard output or with .gz.
    """
    if output == STANDARD:
        if requested == "parquet":
            raise ParamsError("--format parquet needs a file: use --output labels.parquet")
        return requested or ("text" if on_terminal else "csv")
    chosen = requested or OUTPUT_FORMATS.get(suffix(output))
    if chosen is None and Path(output).exists() and not Path(output).is_file():
        return "csv"  # a device or a pipe; streams.writing refuses a folder
    if chosen is None:
        raise ParamsError(f"{output}: format is not known by the ending; use --format {'|'.join(WRITERS)}")
    if chosen == "parquet" and output.lower().endswith(GZIP):
        raise ParamsError(f"{output}: Parquet is compressed already; use a name that ends in .parquet")
    return chosen


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
    names = list(output_types(types))
    _write_csv(file, [list(map(_escaped, names)) if escape_formulas else names])

    def write(predictions: PredictionBatch) -> None:
        rows = zip(*predictions.columns().values(), strict=True)
        fields = ([_csv_field(value) for value in row] for row in rows)
        _write_csv(file, ([_escaped(field) for field in row] for row in fields) if escape_formulas else fields)

    yield write


def _write_csv(file: IO[bytes], rows: Iterable[Sequence[Any]]) -> None:
    # encoded here: a text wrapper closes the file when it is garbage collected, which would complete a broken upload
    rows = list(rows)
    text = _csv_text(rows, "\n")
    if "\r" in text:  # which Python's writer quotes, before 3.13, only where lines end so
        text = "".join(_csv_text([row], "\r\n").removesuffix("\r\n") + "\n" for row in rows)
    file.write(text.encode())
    file.flush()


def _csv_text(rows: Iterable[Sequence[Any]], line_end: str) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator=line_end).writerows(rows)
    return text.getvalue()


def _escaped(field: Any) -> Any:
    return f"'{field}" if isinstance(field, str) and field.startswith(("=", "+", "-", "@", "\t", "\r")) else field


def _csv_field(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list | bool) else value


@contextmanager
def jsonl_writer(file: IO[bytes], types: Mapping[str, Any]) -> Iterator[Write]:
    """A JSON object per row; dates and the like are written as text, and numbers that JSON has not as null."""

    def write(predictions: PredictionBatch) -> None:
        columns = predictions.columns()
        rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
        file.write("".join(f"{_json_line(row)}\n" for row in rows).encode())
        file.flush()

    yield write


def _json_line(row: Mapping[str, Any]) -> str:
    dump = partial(json.dumps, ensure_ascii=False, default=str, allow_nan=False)
    try:
        return dump(row)
    except ValueError:
        return dump(_json_value(row))


def _json_value(value: Any) -> Any:
    """Return a value without NaN and infinity, at any depth."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _json_value(one) for key, one in value.items()}
    return list(map(_json_value, value)) if isinstance(value, list) else value


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


MAX_LISTED_ROWS = 100  # broken rows listed by number; more are only counted


class PredictionSummary:
    """Counts of the rows so far, by label; `report` formats them."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.rows = self.without_text = self.broken = 0
        self._rows_by_reason: dict[str, list[int]] = {}

    def add(self, predictions: PredictionBatch) -> None:
        """Count the rows of a batch."""
        inputs = predictions.inputs
        self.rows += len(inputs.texts)
        self.counts.update(label for label in predictions.labels if label is not None)
        self.without_text += sum(label is None for label in predictions.labels) - len(inputs.errors)
        for index, reason in inputs.errors.items():
            if self.broken < MAX_LISTED_ROWS:
                self._rows_by_reason.setdefault(reason, []).append(inputs.first + index)
            self.broken += 1

    def report(self) -> list[str]:
        """Return a line of counts, and one line per kind of error with the numbers of its rows."""
        by_label = ", ".join(f"{self.counts[label]:,} {label}" for label in reversed(LABELS))
        if self.counts[UNSURE]:
            by_label += f", {self.counts[UNSURE]:,} {UNSURE}"
        line = f"{plural(self.rows, 'row')}: {by_label}"
        if self.without_text:
            line += f", {self.without_text:,} without text (probability left empty)"
        if not self.broken:
            return [line]
        lines = [f"{line}, {self.broken:,} broken (probability left empty)"]
        for reason, numbers in self._rows_by_reason.items():
            rows = f"rows {', '.join(map(str, numbers))}, each" if len(numbers) > 1 else f"row {numbers[0]}"
            lines.append(f"{rows} {reason}")
        if self.broken > MAX_LISTED_ROWS:
            lines.append(f"and {plural(self.broken - MAX_LISTED_ROWS, 'more broken row')}")
        return lines


def plural(count: int, noun: str) -> str:
    """Return the count with its noun: "1 row", "2,000 rows"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
