"""Note what a server predicted, without texts: a JSON line for each, which `sentiment drift --predictions` reads.

{"time": 1764444000.123, "words": 12, "tokens": 17, "probability": 0.9375}
"""

import json
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.json as pa_json
from numpy.typing import NDArray

from sentiment.common.errors import InputError, ParamsError, one_line

SCHEMA = pa.schema(
    [("time", pa.float64()), ("words", pa.int64()), ("tokens", pa.int64()), ("probability", pa.float64())]
)

log = logging.getLogger(__name__)


class PredictionLog:
    """A file to which several threads and processes append; `logrotate` may cut it (copytruncate)."""

    def __init__(self, path: Path) -> None:
        """Open the file, and make it where it is missing.

        Raises:
            ParamsError: it cannot be written.
        """
        try:
            self._is_torn = path.is_file() and _last_byte(path) not in (b"", b"\n")
            self._file = path.open("ab", buffering=0)  # a batch is one write at the end of the file
        except OSError as error:
            raise ParamsError(f"--prediction-log {path}: {error.strerror}") from None

    def write(self, texts: Sequence[str], token_ids: Sequence[Sequence[int]], scores: NDArray[np.float32]) -> None:
        """Append a line for each text; a full disk is logged, and ends no request.

        Args:
            token_ids: of the whole texts.
            scores: probabilities of "positive", shape (n_texts,).
        """
        now = round(time.time(), 3)
        lines = [
            json.dumps({"time": now, "words": len(text.split()), "tokens": len(ids), "probability": float(score)})
            for text, ids, score in zip(texts, token_ids, scores, strict=True)
        ]
        content = b"\n" * self._is_torn + "".join(f"{line}\n" for line in lines).encode()
        try:
            n_written = self._file.write(content)
        except OSError as error:
            log.error("the prediction log was not written: %s", error.strerror)
        else:
            self._is_torn = n_written < len(content)  # the disk became full
            if self._is_torn:
                log.error("the prediction log lacks predictions: %d of %d bytes were written", n_written, len(content))


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
        return file.read()


def _read_lines(path: Path) -> pa.Table:
    """Return the lines of a log that are JSON, of which a full disk may have cut some."""
    options = pa_json.ParseOptions(explicit_schema=SCHEMA, unexpected_field_behavior="ignore")
    try:
        return pa_json.read_json(path, parse_options=options)
    except pa.ArrowInvalid:
        whole = pa.BufferReader(_whole_lines(path))
        by_this_thread = pa_json.ReadOptions(use_threads=False)  # see `common.tables.read_content`
        return pa_json.read_json(whole, by_this_thread, options)


def _whole_lines(path: Path) -> bytes:
    lines = path.read_bytes().splitlines(keepends=True)
    whole = [line for line in lines if _is_json(line)]
    if whole:
        log.warning("%s: %d of %d lines are cut, and left out", path, len(lines) - len(whole), len(lines))
    return b"".join(whole)


def _is_json(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def read_predictions(path: Path) -> pa.Table:
    """Return the lines of a log as a table of `SCHEMA`; without those that a full disk has cut, which are counted.

    Raises:
        InputError: the file is missing, is none, or is empty.
    """
    try:
        table = _read_lines(path).select(SCHEMA.names)
    except (OSError, pa.ArrowInvalid, KeyError) as error:
        raise InputError(f"{path}: {one_line(error)}; expected the file of sentiment serve --prediction-log") from None
    if any(column.null_count for column in table.columns) or not len(table):
        raise InputError(f"{path}: expected lines with {', '.join(SCHEMA.names)}")
    return table
