"""Writes labelled rows: readable lines, CSV, JSON lines or Parquet, some thousands at a time."""

import csv
import io
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

from sentiment.inference.batches import PredictionBatch

Write = Callable[[PredictionBatch], None]


@contextmanager
def readable_lines(file: IO[bytes], columns: Mapping[str, Any]) -> Iterator[Write]:
    """SentimentClassifier, probability and the start of the text, a line each."""
    room = max(20, shutil.get_terminal_size().columns - len("positive  0.000  "))

    def write(labelled: PredictionBatch) -> None:
        table = labelled.table()
        lines = []
        for sentiment, probability, text in zip(
            table["sentiment"], table["probability"], labelled.rows.texts, strict=True
        ):
            answer = f"{sentiment}  {probability:.3f}" if sentiment else "-                -"
            shown = "".join(character if character.isprintable() else " " for character in text) or "(no text)"
            lines.append(f"{answer}  {shown if len(shown) <= room else shown[: room - 1] + '…'}\n")
        file.write("".join(lines).encode("utf-8", "replace"))
        file.flush()

    yield write


@contextmanager
def csv_lines(file: IO[bytes], columns: Mapping[str, Any]) -> Iterator[Write]:
    """CSV with a header; None is an empty field."""
    _write_csv(file, [list(output_columns(columns))])

    def write(labelled: PredictionBatch) -> None:
        rows = zip(*labelled.table().values(), strict=True)
        _write_csv(file, ([_as_field(value) for value in row] for row in rows))

    yield write


def _write_csv(file: IO[bytes], rows: Any) -> None:
    # encoded here: a text wrapper would close the file when it is thrown away, and so complete a broken upload
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    file.write(text.getvalue().encode())
    file.flush()


def _as_field(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list | bool) else value


@contextmanager
def json_lines(file: IO[bytes], columns: Mapping[str, Any]) -> Iterator[Write]:
    """A JSON object a row; dates and the like are written as text."""

    def write(labelled: PredictionBatch) -> None:
        table = labelled.table()
        rows = (dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True))
        lines = [json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows]
        file.write("".join(lines).encode())
        file.flush()

    yield write


@contextmanager
def parquet(file: IO[bytes], columns: Mapping[str, Any]) -> Iterator[Write]:
    """Parquet; what came as JSON and is no text is written as JSON."""
    import pyarrow as pa  # half a second that the other formats do without
    import pyarrow.parquet as pq

    schema = pa.schema(list(output_columns(columns).items()))
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:

        def write(labelled: PredictionBatch) -> None:
            table = labelled.table()
            arrays = [
                pa.array(
                    [_as_text(value) for value in table[field.name]]
                    if field.type == pa.string()
                    else table[field.name],
                    field.type,
                )
                for field in schema
            ]
            writer.write_table(pa.table(arrays, schema=schema))
            file.flush()

        yield write


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def output_columns(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return the Arrow types of the output's columns, given those of id and kept columns."""
    kept = {name: kind for name, kind in columns.items() if name != "id"}
    return {"id": columns["id"], "probability": "float32", "sentiment": "string", **kept}


WRITERS = {"text": readable_lines, "csv": csv_lines, "jsonl": json_lines, "parquet": parquet}
