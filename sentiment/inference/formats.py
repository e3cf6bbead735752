"""Select the reader of an input and the format of an output, by their names and the options given."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from sentiment.common.errors import ParamsError
from sentiment.data.labels import LABELS, UNSURE
from sentiment.data.readers import (
    BINARY,
    ENDINGS,
    GZIP,
    READERS_BY_FORMAT,
    Reader,
    from_lines_or_json,
    suffix,
)
from sentiment.inference.streams import STANDARD
from sentiment.inference.writers import WRITERS, PredictionBatch

READERS: dict[str, Reader] = {
    **{ending: READERS_BY_FORMAT[name] for ending, name in ENDINGS.items()},
    ".txt": from_lines_or_json,
}
OUTPUT_FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".parquet": "parquet", ".txt": "text"}
SUPPORTED = f"{', '.join(READERS)}; all but .parquet and .xlsx also with {GZIP}"


def is_input_name(argument: str) -> bool:
    """Return whether an argument names an input and is not a text to label.

    That is `-`, s3://…, a path that exists, or a supported ending without white space before it. A folder counts where
    the argument has a slash, because one word may be both a review and a folder.
    """
    if argument == STANDARD or argument.startswith("s3://"):
        return True
    if suffix(argument) in READERS and not any(map(str.isspace, argument)):
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


def reader_of(name: str) -> Reader:
    """Return the reader of file `name`; raises ParamsError where its format is not supported."""
    path = Path(name)
    is_pipe = name != STANDARD and not name.startswith("s3://") and path.exists() and not path.is_file()
    if name == STANDARD or (is_pipe and not path.is_dir()):
        return from_lines_or_json
    reader = READERS.get(suffix(name))
    if reader is None or (name.lower().endswith(GZIP) and ENDINGS[suffix(name)] in BINARY):
        raise ParamsError(f"{name}: format is not supported; expected a name that ends in {SUPPORTED}")
    return reader


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
