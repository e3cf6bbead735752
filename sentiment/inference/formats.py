"""Which source or sink a name or a choice stands for."""

from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import IO

from sentiment.common.errors import ParamsError
from sentiment.inference.batches import Source
from sentiment.inference.readers import InputColumns, from_csv, from_lines, from_parquet
from sentiment.inference.streams import STANDARD
from sentiment.inference.writers import WRITERS

READERS: dict[str, Callable[[str, IO[bytes], InputColumns], Source]] = {
    ".csv": from_csv,
    ".parquet": from_parquet,
    ".jsonl": from_lines,
    ".txt": from_lines,
}
OUTPUT_FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".parquet": "parquet", ".txt": "text"}


def names_a_file(text: str) -> bool:
    """Tell whether an argument names an input, and is no text to label: `-`, s3://, or a known ending and no blank."""
    known = PurePosixPath(text).suffix.lower() in READERS and not any(map(str.isspace, text))
    return text == STANDARD or text.startswith("s3://") or known


def input_file(inputs: Sequence[str]) -> str | None:
    """Return the input that names a file, or None where all are texts; raises ParamsError where it is not alone."""
    files = list(filter(names_a_file, inputs))
    if files and len(inputs) > 1:
        raise ParamsError(f"{files[0]}: one file at a time, without texts beside it")
    return files[0] if files else None


def reader_of(name: str) -> Callable[[str, IO[bytes], InputColumns], Source]:
    """Return what reads `name`; raises ParamsError for an unknown ending."""
    if name == STANDARD:
        return from_lines
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in READERS:
        raise ParamsError(f"{name}: unknown kind of file; expected one that ends in {', '.join(READERS)}")
    return READERS[suffix]


def output_format(chosen: str | None, output: str, on_terminal: bool) -> str:
    """Return a key of `WRITERS`: the chosen one, else by the output's ending, else text for a terminal and CSV.

    Raises:
        ParamsError: the output's ending is unknown, or Parquet was asked for on standard output.
    """
    if output == STANDARD:
        if chosen == "parquet":
            raise ParamsError("--format parquet needs a file: say --output labels.parquet")
        return chosen or ("text" if on_terminal else "csv")
    suffix = PurePosixPath(output).suffix.lower()
    if not chosen and suffix not in OUTPUT_FORMATS:
        raise ParamsError(f"{output}: unknown kind of file; say --format {'|'.join(WRITERS)}")
    return chosen or OUTPUT_FORMATS[suffix]
