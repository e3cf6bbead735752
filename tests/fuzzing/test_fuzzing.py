"""Arbitrary bytes in place of data, parameters, classifier and encoder: exit 0, or one line and exit 1.

Never a traceback, and never a file left behind. The commands run in this process, so an exception that is not an
error of this project fails the test with its traceback. `prepare`, `predict` and the server's page must read the same
rows and texts, or refuse a file for the same reason.

FUZZ_EXAMPLES=700 takes two minutes for each test.
"""

import contextlib
import gzip
import io
import logging
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
import yaml
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sentiment.cli.app import main as sentiment
from sentiment.common.command import run_main
from sentiment.common.errors import InputError
from sentiment.data.readers import FileFormat, InputColumns, read_source
from sentiment.inference.classifier import SentimentClassifier
from sentiment.inference.formats import reader_of
from sentiment.inference.streams import reading
from sentiment.serving.app import create_app
from sentiment.serving.protocols import MAX_PROBLEMS, Settings
from stages import prepare
from tests.project import DEFAULTS, Project

pytestmark = pytest.mark.slow

N_EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "30"))  # of each test; 30 take about 4 seconds
HEADER = b"Title,Review Text,Rating,Department Name,Division Name,Class Name,Age\n"
GOOD = {
    ".csv": HEADER + b'Nice,"Soft, warm",5,Tops,General,Knits,33\n,Too big,1,Tops,General,Knits,40\n',
    ".tsv": HEADER.replace(b",", b"\t") + b"Nice\tSoft\t5\tTops\tGeneral\tKnits\t33\n",
    ".jsonl": b'{"Title": "Nice", "Review Text": "Soft"}\n{"Title": "", "Review Text": "Too big"}\n',
    ".json": b'[{"Title": "Nice", "Review Text": "Soft"}]',
    ".txt": b"Soft and warm\nToo big\n",
}
BINARY = (".parquet", ".xlsx", ".csv.gz", ".zip")
fuzz = settings(max_examples=N_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """Arbitrary bytes, or a good file with some of its bytes replaced, removed or repeated."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=200))
    start = draw(st.integers(0, len(good)))
    end = draw(st.integers(start, min(len(good), start + 20)))
    return good[:start] + draw(st.binary(max_size=8)) + good[end:] * draw(st.integers(1, 2))


@cache
def whole(suffix: str) -> bytes:
    """Return a good file of a format that is not text."""
    buffer = io.BytesIO()
    if suffix == ".csv.gz":
        return gzip.compress(GOOD[".csv"])
    if suffix == ".zip":
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("reviews.csv", GOOD[".csv"])
    else:
        table = pd.read_csv(io.BytesIO(GOOD[".csv"]))
        table.to_parquet(buffer) if suffix == ".parquet" else table.to_excel(buffer, index=False)
    return buffer.getvalue()


@st.composite
def damaged_file(draw: st.DrawFn, suffix: str) -> bytes:
    """A file of a format, damaged, or with a damaged content in a compressed or zip file that is whole."""
    if suffix in GOOD:
        return draw(damaged(GOOD[suffix]))
    if suffix == ".parquet" or draw(st.booleans()):
        return draw(damaged(whole(suffix)))
    if suffix == ".csv.gz":
        return gzip.compress(draw(damaged(GOOD[".csv"])))
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole(suffix))) as archive, zipfile.ZipFile(buffer, "w") as written:
        chosen = draw(st.sampled_from(archive.namelist()))
        for name in archive.namelist():
            content = archive.read(name)
            written.writestr(name, draw(damaged(content)) if name == chosen else content)
    return buffer.getvalue()


@contextlib.contextmanager
def log_lines() -> Iterator[list[str]]:
    """Collect what the commands log."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    try:
        yield lines
    finally:
        logging.getLogger().removeHandler(handler)


def assert_clean_end(call: Callable[[], None], folder: Path, written: set[str]) -> None:
    """Run a command in `folder`: exit 0, or exit 1 with one error line; new files are at most those in `written`."""
    before = {path.name for path in folder.iterdir()}
    previous, out = Path.cwd(), io.TextIOWrapper(io.BytesIO())
    os.chdir(folder)
    try:
        with log_lines() as lines, contextlib.redirect_stdout(out), pytest.raises(SystemExit) as exited:
            call()
    finally:
        os.chdir(previous)
    status = exited.value.code or 0
    errors = [line for line in lines if line.startswith("error: ")]
    assert (status, len(errors)) in {(0, 0), (1, 1)}, lines
    assert all("\n" not in line for line in errors)
    assert {path.name for path in folder.iterdir()} - before <= (written if status == 0 else set())


@pytest.fixture(scope="module")
def classifier(completed_template: Project) -> Path:
    return completed_template.root / "models" / "classifier"


@pytest.mark.parametrize("suffix", [*GOOD, *BINARY[:3]])
@fuzz
@given(data=st.data())
def test_predict_reads_any_bytes(classifier: Path, suffix: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, f"new{suffix}")
        file.write_bytes(data.draw(damaged_file(suffix)))
        arguments = ["predict", "--classifier", str(classifier), file.name, "--output", "labels.csv"]
        assert_clean_end(lambda: sentiment(arguments), Path(name), {"labels.csv"})


@pytest.mark.parametrize("suffix", [*GOOD, *BINARY])
@fuzz
@given(data=st.data())
def test_init_looks_at_any_bytes(suffix: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, f"new{suffix}")
        file.write_bytes(data.draw(damaged(GOOD[suffix] * 3) if suffix in GOOD else damaged_file(suffix)))
        shutil.copy(DEFAULTS / "params.yaml", name)
        assert_clean_end(lambda: sentiment(["init", file.name, "--dry-run"]), Path(name), set())


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".tsv", *BINARY])
@fuzz
@given(data=st.data())
def test_prepare_reads_any_bytes_of_other_formats(
    monkeypatch: pytest.MonkeyPatch, suffix: str, data: st.DataObject
) -> None:
    params = yaml.safe_load((DEFAULTS / "params.yaml").read_text())
    params["prepare"] |= {"source": f"new{suffix}", "slice_columns": []}
    params["evaluate"]["slices"] = []
    with tempfile.TemporaryDirectory() as name:
        Path(name, "params.yaml").write_text(yaml.safe_dump(params))
        Path(name, f"new{suffix}").write_bytes(data.draw(damaged_file(suffix)))
        run_prepare(monkeypatch, Path(name))


def run_prepare(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    arguments = ["prepare", "--output", "reviews.parquet", "--metrics", "prepare.json"]
    monkeypatch.setattr(sys, "argv", arguments)
    assert_clean_end(lambda: run_main(prepare.main), folder, {"reviews.parquet", "prepare.json"})


@fuzz
@given(content=damaged(GOOD[".csv"]))
def test_prepare_reads_any_bytes(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    params = yaml.safe_load((DEFAULTS / "params.yaml").read_text())
    params["prepare"]["source"] = "reviews.csv"
    with tempfile.TemporaryDirectory() as name:
        Path(name, "params.yaml").write_text(yaml.safe_dump(params))
        Path(name, "reviews.csv").write_bytes(content)
        run_prepare(monkeypatch, Path(name))


Read = tuple[list[str], list[str]] | str  # texts and broken rows, or why the file is refused

FIELDS = [
    b"", b"Soft", b"Nice, warm", b'"Soft"', b'"Soft, warm"', b'"two\nlines"', b'"two\r\nlines"', b'"a ""b"""',
    b'"open', b'a"b', b'"a"b', b" Soft ", b"\0", b"caf\xe9", b"caf\xc3\xa9", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x85",
    b"\xe2\x80\xa8", b"\xc2\x85", b"\x0b", b"\x1c", b"'", b"\\", b"x" * 131_073, b'"' + b"x\n" * 70_000 + b'"',
]  # fmt: skip
HEADERS = [
    [b"Title", b"Review Text"],
    [b"id", b"Review Text", b"Title"],
    [b"Title"],
    [b'"Title"', b'"Review Text"', b"x"],
]
FIELD = st.one_of(st.sampled_from(FIELDS[:8]), st.sampled_from(FIELDS), st.binary(max_size=6))


@st.composite
def csv_files(draw: st.DrawFn) -> bytes:
    """CSV files as they are and as they should not be: quotes, delimiters, line ends, ragged and empty rows."""
    delimiter = draw(st.sampled_from([b",", b",", b",", b";", b"\t"]))
    end = draw(st.sampled_from([b"\n", b"\n", b"\r\n", b"\r"]))
    header = draw(st.sampled_from(HEADERS))
    n_fields = st.sampled_from([len(header)] * 8 + [0, 1, len(header) + 1])
    rows = draw(st.lists(n_fields.flatmap(lambda n: st.lists(FIELD, min_size=n, max_size=n)), max_size=6))
    content = end.join(delimiter.join(row) for row in [header, *rows])
    start = draw(st.sampled_from([b"", b"", b"", b"\xef\xbb\xbf", b"\n", b"sep=,\n", b"\xff\xfe"]))
    return start + content + draw(st.sampled_from([b"", end, end * 2, b"\0", b'"', b"\x1a"]))


def read_by_predict(path: Path, columns: Sequence[str]) -> Read:
    """Return what `sentiment predict` labels of a file, and the rows that it reports."""
    texts: list[str] = []
    broken: list[str] = []
    try:
        with reading(str(path)) as source:
            table = reader_of(path.name)(path.name, source.content, InputColumns(tuple(columns)))
            for batch in table.batches:
                texts += batch.texts
                broken += [f"row {batch.first + index} {reason}" for index, reason in batch.errors.items()]
    except InputError as error:
        return str(error)
    return texts, broken


def first_problems(read: Read) -> Read:
    """Return what the page shows, which names the first broken rows only."""
    return read if isinstance(read, str) else (read[0], read[1][:MAX_PROBLEMS])


def read_by_page(page: TestClient, path: Path) -> Read:
    """Return what the server's page labels of a file, and the rows that it reports."""
    headers = {"content-type": "application/octet-stream"}
    answer = page.post("/rows", params={"name": path.name}, content=path.read_bytes(), headers=headers)
    if answer.status_code == 422:
        return str(answer.json()["error"])
    assume(answer.status_code != 413)  # more rows than the page takes
    assert answer.status_code == 200
    return answer.json()["texts"], answer.json()["problems"]


def read_by_prepare(path: Path, columns: Sequence[str]) -> Read:
    """Return the texts that `prepare` takes from a file; a broken row stops it."""
    texts: list[str] = []
    try:
        for name, batch in read_source(path, InputColumns(tuple(columns), with_ids=False), FileFormat()):
            for index, reason in batch.errors.items():
                raise InputError(f"{name}: row {batch.first + index} {reason}")
            texts += batch.texts
    except InputError as error:
        return str(error).replace(f"{path}:", f"{path.name}:")
    return texts, []


@pytest.fixture(scope="module")
def page(classifier: Path) -> Iterator[TestClient]:
    with TestClient(create_app(SentimentClassifier.load(classifier), Settings())) as client:
        yield client


@settings(fuzz, max_examples=10 * N_EXAMPLES)
@given(content=st.one_of(csv_files(), csv_files(), damaged(GOOD[".csv"])))
def test_prepare_predict_and_the_page_read_the_same_texts(page: TestClient, content: bytes) -> None:
    columns = ["Title", "Review Text"]
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "reviews.csv")
        path.write_bytes(content)
        predicted, shown = read_by_predict(path, columns), read_by_page(page, path)
        prepared = read_by_prepare(path, columns)
    assert shown == first_problems(predicted)
    if isinstance(predicted, str):
        assert prepared == predicted
    elif predicted[1]:
        assert prepared == f"reviews.csv: {predicted[1][0]}"
    else:
        assert prepared == predicted


@pytest.mark.parametrize("suffix", [".tsv", ".jsonl", ".txt"])
@fuzz
@given(data=st.data())
def test_predict_and_the_page_read_the_same_texts(page: TestClient, suffix: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, f"reviews{suffix}")
        path.write_bytes(data.draw(damaged(GOOD[suffix])))
        assert read_by_page(page, path) == first_problems(read_by_predict(path, ["Title", "Review Text"]))


@fuzz
@given(content=damaged((DEFAULTS / "params.yaml").read_bytes().replace(b"data/raw/sample.csv", b"reviews.csv")))
def test_prepare_reads_any_params(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name, "params.yaml").write_bytes(content)
        Path(name, "reviews.csv").write_bytes(GOOD[".csv"])
        run_prepare(monkeypatch, Path(name))


@pytest.mark.parametrize(
    "file",
    ["config.json", "head.safetensors", "encoder/config.json", "encoder/model.safetensors", "encoder/tokenizer.json",
     "encoder/tokenizer_config.json"],
)  # fmt: skip
@settings(fuzz, max_examples=25)
@given(data=st.data())
def test_predict_reads_any_classifier_and_encoder(classifier: Path, file: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        shutil.copytree(classifier, Path(name, "classifier"))
        path = Path(name, "classifier", file)
        path.write_bytes(data.draw(damaged(path.read_bytes()[:5_000])))
        assert_clean_end(lambda: sentiment(["predict", "--classifier", "classifier", "Soft"]), Path(name), set())
