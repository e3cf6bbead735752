"""Which arguments are files, which formats are read, and what else is refused before anything is labeled."""

import codecs
import csv
import gzip
import json
import os
import pty
import shlex
import subprocess
import sys
import termios
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.inference.conftest import Predict
from tests.project import Project

TEXTS = ["Soft and warm", "Came apart, sadly"]
RECORDS = [{"Title": "", "Review Text": text} for text in TEXTS]
CSV = "Title,Review Text\n" + "".join(f',"{text}"\n' for text in TEXTS)
TSV = CSV.replace("Title,", "Title\t").replace("\n,", "\n\t")
JSON_LINES = "".join(json.dumps(record) + "\n" for record in RECORDS)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv.gz", gzip.compress(CSV.encode(), mtime=0)),
        ("a.tsv", TSV.encode()),
        ("A.TSV.GZ", gzip.compress(TSV.encode(), mtime=0)),
        ("a.jsonl.gz", gzip.compress(JSON_LINES.encode(), mtime=0)),
        ("a.jsonl", JSON_LINES.encode()),
        ("a.jsonl", b"\n \n" + JSON_LINES.replace("\n", "\n\n").encode()),
        ("a.json", JSON_LINES.encode()),  # as Yelp's and Amazon's files are
        ("a.json.gz", gzip.compress(JSON_LINES.encode(), mtime=0)),
        ("a.json", codecs.BOM_UTF8 + JSON_LINES.encode()),
        ("a.json", json.dumps(RECORDS).encode()),
        ("a.json", codecs.BOM_UTF8 + b"\n " + json.dumps(RECORDS, indent=1).encode()),
        ("a.txt.gz", gzip.compress("\n".join(TEXTS).encode(), mtime=0)),
        ("two words.csv", CSV.encode()),
    ],
)
def test_every_format_gives_the_same_predictions(predict: Predict, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    outcome = predict(tmp_path / name)
    assert outcome.status == 0, outcome.stderr
    assert outcome.out == predict(*TEXTS).out


def test_json_lines_on_standard_input_are_recognized(predict: Predict) -> None:
    assert predict("-", stdin=b"\n\n" + JSON_LINES.encode()).out == predict(*TEXTS).out


@pytest.mark.parametrize("indent", [None, 1])
def test_a_json_array_is_refused_and_says_how_to_convert_it(predict: Predict, tmp_path: Path, indent: int) -> None:
    array = json.dumps(RECORDS, indent=indent)
    (tmp_path / "a.jsonl").write_text(array)
    for outcome in (predict("-", stdin=array.encode()), predict(tmp_path / "a.jsonl")):
        assert outcome.status == 1
        assert "expected a JSON object per line; jq -c '.[]' makes them of an array" in outcome.stderr


def test_lines_that_start_with_a_bracket_or_are_blank_are_texts(predict: Predict) -> None:
    texts = ["", "[Edited] Soft and warm", "[]"]
    assert predict("-", stdin="\n".join(texts).encode()).out == predict(*texts).out


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xls", b"PK", "a.xls: format is not supported; expected a name that ends in .csv, .tsv"),
        ("a.xlsx", b"PK", "a.xlsx: not an Excel file"),
        ("reviews", b"Soft", "reviews: format is not supported"),
        ("a.parquet.gz", b"", "a.parquet.gz: format is not supported"),
        ("a.csv.gz", b"Title,Review Text\na,b\n", "a.csv.gz: damaged gzip file"),
        ("a.csv.gz", gzip.compress(CSV.encode(), mtime=0)[:-9], "a.csv.gz: damaged gzip file"),
        ("a.json", b'["Soft"]', "row 1 is not a JSON object"),
        ("a.json", b'[{"Review Text": "Soft"', "a.json: is not a JSON array after"),
        ("a.json", b'"Soft"', "a.json: is neither a JSON array nor JSON lines"),
        ("a.json", b'{"reviews": [{"Review Text": "Soft"}]}', "are missing; found 'reviews'"),
        ("a.json", b'{\n"reviews": [{"Review Text": "Soft"}]}', "row 1 is not JSON, expected a JSON object per line"),
        ("a.jsonl", b'["Soft"]', "row 1 is not a JSON object"),
        ("a.jsonl", b"Soft and warm", "row 1 is not JSON"),
    ],
)
def test_an_unsupported_or_damaged_file_is_one_line(
    predict: Predict, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    outcome = predict(tmp_path / name, "--output", tmp_path / "labels.csv")
    assert outcome.status == 1
    assert message in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["missing.csv", "my missing file.xlsx"])
def test_a_missing_file_is_no_review(predict: Predict, name: str) -> None:
    outcome = predict(name)
    assert outcome.status == 1
    assert f"{name}: no such file" in outcome.stderr


def test_a_damaged_parquet_page_is_one_line_with_the_name_of_the_file(predict: Predict, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    bodies = [f"text {index} of many" for index in range(5_000)]
    pq.write_table(pa.table({"Title": bodies, "Review Text": bodies}), path, compression="zstd")
    content = bytearray(path.read_bytes())
    content[200:4_000] = os.urandom(3_800)
    path.write_bytes(content)
    outcome = predict(path, "--output", tmp_path / "labels.csv")
    assert outcome.status == 1
    assert outcome.stderr.startswith(f"error: {path}: damaged Parquet file (")
    assert len(outcome.stderr.splitlines()) == 1


def test_a_threshold_out_of_range_names_the_range(predict: Predict, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict("Soft", "--threshold", "2").status == 2
    assert "2 is not a number above 0 and below 1" in capsys.readouterr().err


@pytest.mark.parametrize(("redirection", "message"), [("<&-", "input is closed"), (">&- <<< good", "output is closed")])
def test_a_closed_stream_is_one_line(completed_template: Project, redirection: str, message: str) -> None:
    command = f"{shlex.quote(sys.executable)} -m sentiment predict - {redirection}"
    done = completed_template.run("bash", "-c", command, check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_folder_as_output_is_refused_before_the_classifier_is_loaded(predict: Predict, tmp_path: Path) -> None:
    outcome = predict("Soft", "--output", tmp_path, "--format", "csv", "--classifier", tmp_path / "none")
    assert outcome.stderr == f"error: {tmp_path}: is a folder; expected the name of a file to write"


def test_the_target_of_a_link_is_replaced_and_the_link_stays(predict: Predict, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "labels.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("data/labels.csv")
    assert predict("Soft", "--output", tmp_path / "link.csv").status == 0
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "data" / "labels.csv").read_text() == predict("Soft").out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "link.csv"]


def test_a_pipe_as_output_is_written_to_and_stays(predict: Predict, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append((tmp_path / "pipe").read_bytes()), daemon=True)
    reader.start()
    assert predict("Soft", "--output", tmp_path / "pipe").status == 0
    reader.join(10)
    assert received == [predict("Soft").out.encode()]
    assert (tmp_path / "pipe").is_fifo()


def test_devices_are_written_to_and_stay(completed_template: Project) -> None:
    command = [sys.executable, "-m", "sentiment", "predict", "Soft", "--output"]
    standard = completed_template.run(*command, "/dev/stdout", "--format", "csv")
    assert standard.stdout.startswith("id,probability,sentiment\n1,")
    completed_template.run(*command, "/dev/null")
    assert Path("/dev/null").is_char_device()


def test_a_process_substitution_is_read_as_lines(completed_template: Project) -> None:
    command = f"{shlex.quote(sys.executable)} -m sentiment predict <(printf 'Soft\\nCame apart\\n')"
    assert len(completed_template.run("bash", "-c", command).stdout.splitlines()) == 3


def test_gzip_output_is_compressed(predict: Predict, tmp_path: Path) -> None:
    predict("Soft", "--output", tmp_path / "labels.csv.gz")
    assert gzip.decompress((tmp_path / "labels.csv.gz").read_bytes()).decode() == predict("Soft").out


def test_progress_is_shown_in_bytes_of_the_file(completed_template: Project, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("good\n" * 100)
    command = [sys.executable, "-m", "sentiment", "predict", str(tmp_path / "a.txt"), "--output", "/dev/null"]
    terminal, its_end = pty.openpty()
    termios.tcsetwinsize(its_end, (24, 100))
    with subprocess.Popen(
        command, cwd=completed_template.root, env=completed_template.environment(), stderr=its_end
    ) as process:
        assert process.wait(120) == 0
    os.close(its_end)
    shown = os.read(terminal, 65_536).decode()
    os.close(terminal)
    assert "500/500" in shown
    assert "predict: 100%" in shown


def test_the_summary_of_one_row_is_in_the_singular(predict: Predict) -> None:
    assert predict("Soft").stderr.startswith("predict: 1 row: ")


def test_formulas_are_written_as_they_are_or_as_text(predict: Predict, tmp_path: Path) -> None:
    formula = '=HYPERLINK("http://example.com","x")'
    with (tmp_path / "new.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["Title", "Review Text", "n"], [formula, "Soft and warm", "-1"]])
    for options, title, number in (([], formula, "-1"), (["--escape-formulas"], f"'{formula}", "'-1")):
        done = predict(str(tmp_path / "new.csv"), "--keep-columns", "--format", "csv", *options)
        [row] = csv.DictReader(done.out.splitlines())
        assert (row["Title"], row["n"], row["Review Text"]) == (title, number, "Soft and warm")


def test_a_file_of_which_the_encoder_reads_little_is_told(predict: Predict, tmp_path: Path) -> None:
    (tmp_path / "emoji.txt").write_text("\U0001f9e3 \U0001f9e6\n" * 3, encoding="utf-8")
    assert "predict: 100% of the tokens are unknown to the encoder" in predict(str(tmp_path / "emoji.txt")).stderr
    (tmp_path / "plain.txt").write_text("Soft and warm\n")
    assert "unknown" not in predict(str(tmp_path / "plain.txt")).stderr


PREPARED = "prepare: {format: csv, delimiter: ';', encoding: windows-1252, skip: 1, quote: \"'\", header: true}\n"


def test_a_file_is_read_as_it_was_for_training(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plain.csv").write_text('Title,Review Text\nTrès,"Soft, and warm"\nBad,Torn\n', encoding="utf-8")
    written = "Export of May\nTitle;Review Text\nTrès;'Soft, and warm'\nBad;Torn\n".encode("windows-1252")
    expected = predict("plain.csv").out
    for name in ("months.csv", "months.txt"):
        Path(name).write_bytes(written)
        assert "params.yaml: no such file" in predict(name, "--as-prepared").stderr
        Path("params.yaml").write_text(PREPARED)
        outcome = predict(name, "--as-prepared")
        assert (outcome.status, outcome.out) == (0, expected), outcome.stderr
        Path("params.yaml").write_text(PREPARED.replace("';'", "';;'"))
        assert "params.yaml: prepare.delimiter" in predict(name, "--as-prepared").stderr
        Path("params.yaml").unlink()


def test_another_delimiter_is_named_with_what_to_do(predict: Predict, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Title;Review Text\nGood;Soft\n")
    error = predict(tmp_path / "a.csv").stderr
    assert "found 'Title;Review Text'; ';' divides its fields" in error
    assert "--as-prepared" in error
