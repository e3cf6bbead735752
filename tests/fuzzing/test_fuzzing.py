"""Arbitrary bytes in place of data, parameters, classifier and encoder: exit 0, or one line and exit 1.

Never a traceback, and never a file left behind. The commands run in this process, so an exception that is not an
error of this project fails the test with its traceback.
"""

import contextlib
import io
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sentiment.cli.app import main as sentiment
from sentiment.common.command import run_main
from stages import prepare
from tests.project import DEFAULTS, Project

pytestmark = pytest.mark.slow

N_EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "50"))  # of each test; 50 take about 7 seconds
HEADER = b"Title,Review Text,Rating,Department Name,Division Name,Class Name,Age\n"
GOOD = {
    ".csv": HEADER + b'Nice,"Soft, warm",5,Tops,General,Knits,33\n,Too big,1,Tops,General,Knits,40\n',
    ".tsv": HEADER.replace(b",", b"\t") + b"Nice\tSoft\t5\tTops\tGeneral\tKnits\t33\n",
    ".jsonl": b'{"Title": "Nice", "Review Text": "Soft"}\n{"Title": "", "Review Text": "Too big"}\n',
    ".json": b'[{"Title": "Nice", "Review Text": "Soft"}]',
    ".txt": b"Soft and warm\nToo big\n",
}
fuzz = settings(max_examples=N_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """Arbitrary bytes, or a good file with some of its bytes replaced, removed or repeated."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=200))
    start = draw(st.integers(0, len(good)))
    end = draw(st.integers(start, min(len(good), start + 20)))
    return good[:start] + draw(st.binary(max_size=8)) + good[end:] * draw(st.integers(1, 2))


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


@pytest.mark.parametrize("suffix", [*GOOD, ".parquet", ".csv.gz"])
@fuzz
@given(data=st.data())
def test_predict_reads_any_bytes(classifier: Path, suffix: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, f"new{suffix}")
        file.write_bytes(data.draw(damaged(GOOD.get(suffix, GOOD[".csv"]))))
        arguments = ["predict", "--classifier", str(classifier), file.name, "--output", "labels.csv"]
        assert_clean_end(lambda: sentiment(arguments), Path(name), {"labels.csv"})


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
