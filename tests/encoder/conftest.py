"""Small encoders with random weights and the bundled tokenizer, and the reviews of the sample."""

from pathlib import Path
from typing import Any

import pytest
from transformers import AlbertConfig, BertConfig

from sentiment.data.readers import read_texts
from sentiment.encoder.config import EncoderConfig, Pooling, Precision
from sentiment.encoder.frozen import FrozenEncoder
from tests.project import ROOT
from tests.random_encoders import VOCAB_SIZE, random_model, save_encoder

SMALL: dict[str, Any] = {"vocab_size": 30_000, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
SMALL_OF_BOTH: dict[str, Any] = {
    "vocab_size": VOCAB_SIZE, "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2,
    "intermediate_size": 64,
}  # fmt: skip


def spec(**changes: Any) -> EncoderConfig:
    settings: dict[str, Any] = {"max_length": 32, "pooling": "mean", "precision": "float32"}
    return EncoderConfig(**{**settings, **changes})


@pytest.fixture(scope="session")
def albert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random ALBERT with the activation of the published one, and the bundled tokenizer."""
    config = AlbertConfig(**SMALL, embedding_size=16, intermediate_size=64)
    return save_encoder(random_model(config), tmp_path_factory.mktemp("albert"))


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT that only transformers computes, for its activation."""
    config = BertConfig(**SMALL, intermediate_size=64, hidden_act="relu")
    return save_encoder(random_model(config), tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """The reviews of the sample, and some that are empty, very short or cut."""
    sample = read_texts(ROOT / "data" / "raw" / "sample.csv", ["Title", "Review Text"])
    return ["", "a", "zzyzx 😀 ünlikely", "too big, " * 60, *sample][:1_000]


def config(precision: Precision, pooling: Pooling = "mean+max") -> EncoderConfig:
    return EncoderConfig(max_length=128, pooling=pooling, precision=precision)


def load(encoder: Path, precision: Precision, pooling: Pooling = "mean+max") -> FrozenEncoder:
    return FrozenEncoder.load(encoder, config(precision, pooling), "cpu")


@pytest.fixture(scope="session", params=["albert", "bert"])
def small_encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random encoder of each family with the bundled tokenizer."""
    config = (
        AlbertConfig(**SMALL_OF_BOTH, embedding_size=16, num_hidden_groups=2)
        if request.param == "albert"
        else BertConfig(**SMALL_OF_BOTH)
    )
    return save_encoder(random_model(config, std=0.3), tmp_path_factory.mktemp(request.param))
