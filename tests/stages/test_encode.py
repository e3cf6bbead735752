"""Encoding a split: row for row, with what is needed to do it again."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from sentiment.common import tables
from sentiment.common.tables import SPLITS, table_writer
from sentiment.data.schema import table_schema
from sentiment.encoder.config import EncoderConfig
from sentiment.encoder.frozen import FrozenEncoder
from stages import encode
from tests.project import BUNDLED, ROOT

PARAMS: dict[str, Any] = {
    "max_length": 16, "pooling": "mean", "precision": "auto", "device": "cpu",
}  # fmt: skip
SCHEMA = table_schema([], ["Title", "Body"])
TEXTS = {part: [f"{part} text {'very ' * (number % 9)}good {number}" for number in range(50)] for part in SPLITS}


@pytest.fixture
def encoded(tmp_path: Path, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Encode the texts, in windows of 20 rows; returns the outcome."""
    monkeypatch.setattr(tables.batches, "__defaults__", (None, 20))

    def call(encoder: Path | str = BUNDLED, **params: object) -> object:
        for part, texts in TEXTS.items():
            rows = [{"id": "0" * 16, "text": text, "label": 1, "rating": 5} for text in texts]
            with table_writer(tmp_path / "split" / f"{part}.parquet", SCHEMA) as writer:
                writer.write(pa.RecordBatch.from_pylist(rows, SCHEMA))
        (tmp_path / "params.yaml").write_text(yaml.safe_dump({"encode": {**PARAMS, **params}}))
        return command(
            encode.main,
            "--params",
            tmp_path / "params.yaml",
            "--split",
            tmp_path / "split",
            "--encoder",
            encoder,
            "--output",
            tmp_path / "out",
        )

    return call


def test_every_row_holds_the_vector_of_its_own_text(encoded: Callable[..., Any], tmp_path: Path) -> None:
    assert encoded().status == 0
    spec = {key: value for key, value in PARAMS.items() if key != "device"}
    encoder = FrozenEncoder.load(BUNDLED, EncoderConfig(**spec), "cpu")
    for part, texts in TEXTS.items():
        features = np.load(tmp_path / "out" / f"{part}.npy")
        assert features.shape == (50, encoder.dim)
        for row in (0, 19, 20, 49):
            np.testing.assert_allclose(features[row], encoder.encode([texts[row]])[0], atol=1e-5)


def test_the_features_say_how_they_were_made(encoded: Callable[..., Any], tmp_path: Path) -> None:
    encoded(pooling="mean+max")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["text_columns"] == ["Title", "Body"]
    assert config["config"]["pooling"] == "mean+max"
    assert config["dim"] == np.load(tmp_path / "out" / "val.npy").shape[1]
    assert len(config["fingerprint"]) == 64
    assert config["config"].keys() == {"max_length", "pooling", "precision"}, "neither a path nor where it ran"


def test_two_runs_give_the_same_bytes(encoded: Callable[..., Any], tmp_path: Path) -> None:
    encoded()
    first = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    encoded()
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}


KILLED_IN_THE_FIFTH_WINDOW = """
import os, signal, sys
from sentiment.common import tables
from sentiment.encoder.frozen import FrozenEncoder
from stages import encode
tables.batches.__defaults__ = (None, 20)
n_windows, whole = 0, FrozenEncoder.encode
def count(self, texts, on_batch=None):
    global n_windows
    n_windows += 1
    if n_windows == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(self, texts, on_batch)
FrozenEncoder.encode = count
encode.main()
"""


def test_a_run_after_one_that_was_killed_goes_on_from_there(
    encoded: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded()
    expected = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    parts = tmp_path / ".out"
    assert not parts.exists(), "kept until all is written"
    paths: dict[str, Path | str] = {"params": "params.yaml", "split": "split", "encoder": BUNDLED, "output": "out"}
    options = [part for name, path in paths.items() for part in (f"--{name}", str(tmp_path / path))]

    command = [sys.executable, "-c", KILLED_IN_THE_FIFTH_WINDOW, *options]
    killed = subprocess.run(command, cwd=ROOT, timeout=120, check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    kept = shutil.copytree(parts, tmp_path / "kept")
    first, second, *others = sorted(kept.iterdir())
    assert len(others) == 2

    def resume() -> tuple[int, str]:
        """Encode again; return how many texts were encoded, and the log."""
        n_texts, encode_texts = 0, FrozenEncoder.encode

        def count(self: FrozenEncoder, texts: list[str], *arguments: Any) -> Any:
            nonlocal n_texts
            n_texts += len(texts)
            return encode_texts(self, texts, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(FrozenEncoder, "encode", count)
            done = encoded()
        assert done.status == 0
        assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == expected
        assert not parts.exists()
        return n_texts - 2 * 50, done.stderr  # 50 texts of train compare int8 with int16

    n_texts, log = resume()
    assert n_texts == 150 - 70
    assert "encode: 70 reviews were encoded by a run that was interrupted" in log

    shutil.copytree(kept, parts)
    encoded(max_length=8)
    metadata = json.loads((tmp_path / "out/config.json").read_text())
    encoder = FrozenEncoder.load(BUNDLED, EncoderConfig(**metadata["config"]), "cpu")
    np.testing.assert_array_equal(np.load(tmp_path / "out/train.npy")[8], encoder.encode([TEXTS["train"][8]])[0])

    n_damaged = sum(len(np.load(path)) for path in (first, second))
    first.write_bytes(first.read_bytes()[:-1])
    np.save(second, np.load(second)[:, 1:])
    shutil.copytree(kept, parts)
    n_texts, _ = resume()
    assert n_texts == 150 - 70 + n_damaged, "what is damaged is computed again"


def test_a_missing_encoder_is_one_line(encoded: Callable[..., Any], tmp_path: Path) -> None:
    outcome = encoded(encoder="models/nowhere")
    assert outcome.status == 1
    assert "encoder 'models/nowhere' is no folder" in outcome.stderr
    assert not (tmp_path / "out").exists()


def test_an_encoder_in_another_folder_gives_the_same_bytes(encoded: Callable[..., Any], tmp_path: Path) -> None:
    encoded()
    first = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    encoded(encoder=shutil.copytree(BUNDLED, tmp_path / "elsewhere"))
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}


def test_tokens_that_the_encoder_does_not_know_and_texts_that_it_cuts_are_told(
    encoded: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written in unknown emoji has one probability, and nothing said so."""
    assert "unknown" not in encoded().stderr
    assert json.loads((tmp_path / "out/config.json").read_text())["coverage"]["unknown_tokens"] == 0
    texts = ["\U0001f9e3 \U0001f9e6 good", "very " * 40 + "good"]
    monkeypatch.setitem(TEXTS, "train", texts)
    done = encoded()
    coverage = json.loads((tmp_path / "out/config.json").read_text())["coverage"]
    assert coverage == {"texts": 2, "unknown_tokens": pytest.approx(2 / 17, abs=1e-4), "truncated_texts": 0.5}
    assert "encode: 12% of the tokens are unknown to the encoder" in done.stderr
    assert "encode: 50% of the texts are longer than 16 tokens" in done.stderr
