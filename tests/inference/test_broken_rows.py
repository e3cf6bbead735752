"""Broken rows keep their position, get no prediction, and are counted and listed at the end."""

import csv
import gzip
import random
from pathlib import Path

import pytest

from sentiment.data.csv_reader import RowError, read_records
from tests.inference.conftest import Predict

HEADER = "Title,Review Text\n"


def records(tmp_path: Path, content: bytes) -> list[list[str] | str]:
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with path.open("rb") as file:
        _, rows = read_records("rows.csv", file)
        return [record.reason if isinstance(record, RowError) else record for record in rows]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (b"one field\n", "has 1 fields, expected 2 as in the header"),
        (b"a,b,c\n", "has 3 fields, expected 2 as in the header"),
        (b"a,nul\0byte\n", "holds a NUL byte"),
        (b"a,caf\xe9\n", "holds byte 0xe9, which is not UTF-8; save the file as UTF-8"),
        (b'a,"two\nlines \xff"\n', "holds byte 0xff, which is not UTF-8; save the file as UTF-8"),
        (b'a,"quoted" and more\n', "is malformed (',' expected after '\"')"),
        (b'a,"never closed\n', "is malformed (',' expected after '\"')"),
    ],
)
def test_a_broken_row_does_not_shift_the_others(tmp_path: Path, broken: bytes, reason: str) -> None:
    content = HEADER.encode() + b"x,y\n" + broken + b'"p, q","says ""r"""\n' + b"s,t\n"
    assert records(tmp_path, content) == [["x", "y"], reason, ["p, q", 'says "r"'], ["s", "t"]]


@pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl.gz", "a.txt.gz"])
def test_a_line_without_an_end_is_refused_before_it_fills_the_memory(
    predict: Predict, tmp_path: Path, name: str
) -> None:
    """1.5 MB of gzip held one line of 1.5 GB, which took 3.9 GB."""
    start = {"a.csv.gz": b"Title,Review Text\nx,", "a.jsonl.gz": b'{"Review Text": "', "a.txt.gz": b""}[name]
    with gzip.open(tmp_path / name, "wb", compresslevel=1) as file:
        file.write(start)
        for _ in range(48):
            file.write(b"x" * 2**20)
    done = predict(str(tmp_path / name))
    assert done.status == 1
    assert f"{name}: a line has 16,777,216 characters or more" in done.stderr


def test_an_unclosed_quote_costs_one_row(tmp_path: Path) -> None:
    content = HEADER + 'a,"never closed\n' + "b,c\n" * 50_000
    rows = records(tmp_path, content.encode())
    assert rows[0] == "has a quoted field that is never closed"
    assert rows[1:] == [["b", "c"]] * 50_000


@pytest.mark.slow
def test_a_100_mb_csv_with_100_broken_rows(predict: Predict, tmp_path: Path) -> None:
    rows, rng = 2_000, random.Random(4)
    broken = set(rng.sample(range(1, rows + 1), 100))
    ways = ["too few", "a,b,c,d\n", 'a,"open quote,x\n', "a,nul\0,x\n"]
    path = tmp_path / "big.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("Title", "Review Text", "notes"))
        for row in range(1, rows + 1):
            if row in broken:
                file.write(ways[row % 4].removesuffix("\n") + "\n")
            else:
                writer.writerow(("", f"dress {row}", 'notes "quoted", and long ' * 2_100))
    assert path.stat().st_size > 100_000_000
    outcome = predict(path, "--output", tmp_path / "labels.csv")
    assert outcome.status == 0
    assert "100 broken (probability left empty)" in outcome.stderr
    with (tmp_path / "labels.csv").open(newline="") as file:
        labels = list(csv.DictReader(file))
    assert [int(label["id"]) for label in labels] == list(range(1, rows + 1))
    assert {int(label["id"]) for label in labels if not label["probability"]} == broken
    named = [line for line in outcome.stderr.splitlines() if line.startswith("predict: row")]
    numbers = {int(word.strip(",")) for line in named for word in line.split() if word.strip(",").isdigit()}
    assert broken <= numbers


def test_broken_json_lines(predict: Predict) -> None:
    lines = [
        b'{"Title": "a", "Review Text": "good"}',
        b'{"Title": "a", "Review Text"',
        b"[1, 2]",
        b'{"Title": "a", "Review Text": 5}',
        b'{"Title": "a", "Review Text": "half a smile \\ud83d"}',
        b'{"Title": "a", "Review Text": "caf\xe9"}',
        b'{"Title": "a", "Review Text": "good"}',
    ]
    outcome = predict("-", stdin=b"\n".join(lines))
    predictions = [line.split(",") for line in outcome.out.splitlines()[1:]]
    assert [bool(row[1]) for row in predictions] == [True, False, False, False, False, False, True]
    assert predictions[0][1] == predictions[6][1]
    for reason in ("row 2 is not JSON", "row 3 is not a JSON object", "row 4 has 'Review Text' that is not a string"):
        assert reason in outcome.stderr
    assert "row 5 contains a lone surrogate" in outcome.stderr


def test_many_broken_rows_are_counted_and_the_first_named(predict: Predict) -> None:
    outcome = predict("-", stdin=b"bad \xff\n" * 300 + b"good\n")
    assert "301 rows: " in outcome.stderr
    assert "300 broken" in outcome.stderr
    assert "and 200 more broken rows" in outcome.stderr
