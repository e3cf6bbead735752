"""Encoding a split: row for row, with what is needed to do it again."""

import json
import shutil
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
from tests.project import BUNDLED

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
    """Joy and anger written in emoji had one probability, and nothing said so."""
    assert "unknown" not in encoded().stderr
    assert json.loads((tmp_path / "out/config.json").read_text())["coverage"]["unknown_tokens"] == 0
    texts = ["\U0001f600 \U0001f621 good", "very " * 40 + "good"]
    monkeypatch.setitem(TEXTS, "train", texts)
    done = encoded()
    coverage = json.loads((tmp_path / "out/config.json").read_text())["coverage"]
    assert coverage == {"texts": 2, "unknown_tokens": pytest.approx(2 / 17, abs=1e-4), "truncated_texts": 0.5}
    assert "encode: 12% of the tokens are unknown to the encoder" in done.stderr
    assert "encode: 50% of the texts are longer than 16 tokens" in done.stderr
