"""`sentiment init` reads back random tables: delimiter, quoting, encoding, words of the labels, gaps, formats."""

import csv
import io
import json
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sentiment.data.profile import profile
from sentiment.data.proposal import Choices, propose
from sentiment.data.readers import InputColumns, read_source
from sentiment.data.sniffing import sniff
from stages.prepare import Params, label_batch

N_TABLES, N_FAST = 200, 30
WORDS = {
    "utf-8": [
        "great",
        "poor",
        "value",
        "battery",
        "screen",
        "naïve",
        "café",
        "größer",
        "wow 😀",
        "日本",
        "it's",
        "the",
        "so",
    ],
    "windows-1252": [
        "great",
        "poor",
        "value",
        "battery",
        "naïve",
        "café",
        "größer",
        "price €5",
        "it\N{RIGHT SINGLE QUOTATION MARK}s",
        "the",
        "so",
    ],
}
LABELS = [
    ("positive", "negative"), ("Positive", "Negative"), ("pos", "neg"), ("1", "0"), ("1", "-1"), ("2", "1"), ("4", "0"),
    ("True", "False"), ("yes", "no"), ("good", "bad"), ("__label__2", "__label__1"), ("recommended", "not recommended"),
    ("happy", "unhappy"), ("👍", "👎"), ("thumbs up", "thumbs down"), ("fresh", "rotten"),
]  # fmt: skip
ASCII_LABELS = [labels for labels in LABELS if "".join(labels).isascii()]
DELIMITERS = [(",", "csv"), (";", "csv"), ("\t", "tsv"), ("|", "txt"), ("\t", "csv"), ("~", "csv"), ("^", "txt")]
RATINGS = ["{}", "{}.0", "{},0", "{} stars", "{}.0 out of 5 stars", "{}/5", "{} / 5", "{}0%", "{} Sterne"]
DRAWN = {str(stars): "★" * stars + "☆" * (5 - stars) for stars in range(1, 6)}
ABOVE = ["", "", "", "Export of our shop\n\n", "sep={}\n"]


@dataclass(frozen=True)
class Table:
    """A table as it is written, and what is to be read of it."""

    file: str
    content: bytes
    text_column: str
    label_column: str
    expected: list[tuple[str, int]]  # text and label, in order


def random_table(seed: int) -> Table:
    """Return a table of 60 to 200 rows."""
    rng = random.Random(seed)
    encoding = rng.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16", "windows-1252"])
    words = WORDS["windows-1252" if encoding == "windows-1252" else "utf-8"]
    layout = rng.choice(["csv", "csv", "csv", "jsonl", "json", "parquet", "xlsx"])
    is_csv = layout == "csv"
    delimiter, suffix = rng.choice(DELIMITERS)
    marks = ["\n", '"', ", ", "; ", "...", " | "] if is_csv else ["\n", '"', ", "]
    is_rating = rng.random() < 0.4
    labels = rng.choice(LABELS if encoding != "windows-1252" else ASCII_LABELS)
    written, is_drawn = rng.choice(RATINGS), encoding != "windows-1252" and rng.random() < 0.1
    has_gaps = rng.random() < 0.5
    rows, expected = [], []
    for number in range(rng.randint(60, 200)):
        parts = [rng.choice(words) for _ in range(rng.randint(3, 20))]
        if rng.random() < 0.3:
            parts.insert(rng.randint(1, len(parts) - 1), rng.choice(marks))
        text = " ".join(parts) + f" {number}x"
        is_positive = rng.random() < 0.5
        stars = str(rng.choice([4, 5] if is_positive else [1, 2]))
        rating = DRAWN[stars] if is_drawn else written.format(str(2 * int(stars)) if "%" in written else stars)
        label = rating if is_rating else labels[not is_positive]
        if has_gaps and rng.random() < 0.1:
            label = ""
        elif has_gaps and rng.random() < 0.1:
            text = ""
        rows.append((f"R{number:05d}", text, rng.choice(["red", "green", "blue"]), label))
        if text and label:
            expected.append((text, int(is_positive)))
    names_of_labels = ["rating", "stars", "score", "note"] if is_rating else ["sentiment", "label", "class"]
    text_name = rng.choice(["text", "Review Text", "comment", "avis", "v2"])
    header = (rng.choice(["id", "Order No.", "key"]), text_name, "color", rng.choice(names_of_labels))
    order = rng.sample(range(4), 4)
    columns = [header[index] for index in order]
    cells = [[row[index] for index in order] for row in rows]
    if not is_csv:
        return Table(f"reviews.{layout}", write(layout, columns, cells), header[1], header[3], expected)
    has_header = rng.random() < 0.8
    buffer = io.StringIO(newline="")
    line_end = rng.choice(["\n", "\r\n"])
    writer = csv.writer(
        buffer,
        delimiter=delimiter,
        quoting=csv.QUOTE_ALL if rng.random() < 0.5 else csv.QUOTE_MINIMAL,
        lineterminator=line_end,
    )
    writer.writerows([columns, *cells] if has_header else cells)
    above = rng.choice(ABOVE).format(delimiter) if has_header and suffix != "txt" else ""
    names = header if has_header else [str(1 + order.index(index)) for index in range(4)]
    return Table(f"reviews.{suffix}", (above + buffer.getvalue()).encode(encoding), names[1], names[3], expected)


def write(layout: str, columns: list[str], cells: list[list[str]]) -> bytes:
    """Return a table in a format that is not CSV."""
    records: list[dict[str, Any]] = [
        {name: cell for name, cell in zip(columns, row, strict=True) if cell or name == columns[0]} for row in cells
    ]
    frame = pd.DataFrame(cells, columns=columns).replace("", None)
    if layout == "jsonl":
        return "\n".join(json.dumps(record, ensure_ascii=False) for record in records).encode()
    if layout == "json":
        return json.dumps(records, indent=1).encode()
    buffer = io.BytesIO()
    frame.to_parquet(buffer) if layout == "parquet" else frame.to_excel(buffer, index=False)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "seed", [*range(N_FAST), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(N_FAST, N_TABLES))]
)
def test_init_reads_a_random_table_back(seed: int, tmp_path: Path) -> None:
    table = random_table(seed)
    source = tmp_path / table.file
    source.write_bytes(table.content)
    layout, _ = sniff(source)
    proposal = propose(profile(source, layout), Choices())
    assert (proposal.text_columns, proposal.label_column) == ([table.text_column], table.label_column)
    params = Params.model_validate_json(json.dumps({"source": str(source), **layout.model_dump(), **proposal.params}))
    assert prepared(params) == table.expected


def prepared(params: Params) -> list[tuple[str, int]]:
    """Return text and label of the rows that the stage takes."""
    kept = (params.source_column, *params.slice_columns)
    columns = InputColumns(params.text_columns, kept, with_ids=False)
    unknown: Counter[str] = Counter()
    reviews: list[tuple[str, int]] = []
    for name, batch in read_source(Path(params.source), columns, params):
        table = label_batch(name, batch, params, Counter(), unknown)
        reviews += zip(table["text"].tolist(), table["label"].tolist(), strict=True)
    assert not unknown
    return reviews
