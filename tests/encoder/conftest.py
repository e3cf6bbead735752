"""Small encoders with random weights and the bundled tokenizer, and the reviews of the sample."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AlbertConfig, AlbertModel, BertConfig, BertModel, PreTrainedModel

from sentiment.data.csv_chunks import read_chunks
from sentiment.data.text import join_text
from sentiment.encoder.frozen import FrozenEncoder
from sentiment.features.config import EncoderConfig, Pooling, Precision
from tests.conftest import ROOT

BUNDLED = ROOT / "models" / "encoders" / "bundled"
SMALL: dict[str, Any] = {"vocab_size": 30_000, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
SMALL_OF_BOTH: dict[str, Any] = {
    "vocab_size": 6_078, "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 64,
}  # fmt: skip


def spec(encoder: Path | str, **changes: Any) -> EncoderConfig:
    settings: dict[str, Any] = {"revision": None, "max_length": 32, "pooling": "mean", "precision": "float32"}
    return EncoderConfig(encoder=str(encoder), **{**settings, **changes})


@pytest.fixture(scope="session")
def albert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random ALBERT with the activation of the published one, and the bundled tokenizer."""
    return made(AlbertModel(AlbertConfig(**SMALL, embedding_size=16, intermediate_size=64)), tmp_path_factory)


def made(model: PreTrainedModel, factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = factory.mktemp("encoder")
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(BUNDLED / name, folder)
    return folder


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT that only transformers computes, for its activation."""
    return made(BertModel(BertConfig(**SMALL, intermediate_size=64, hidden_act="relu")), tmp_path_factory)


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """The reviews of the sample, and some that are empty, very short or cut."""
    chunks = read_chunks(ROOT / "data" / "raw" / "sample.csv", ["Title", "Review Text"])
    rows = (join_text(parts) for chunk in chunks for parts in chunk.itertuples(index=False, name=None))
    return ["", "a", "zzyzx 😀 ünlikely", "too big, " * 60, *(text for text in rows if text)][:1_000]


def config(encoder: Path, precision: Precision, pooling: Pooling = "mean+max") -> EncoderConfig:
    return EncoderConfig(encoder=str(encoder), max_length=128, pooling=pooling, precision=precision)


def load(encoder: Path, precision: Precision, pooling: Pooling = "mean+max") -> FrozenEncoder:
    return FrozenEncoder.load(config(encoder, precision, pooling), "cpu")


@pytest.fixture(scope="session", params=["albert", "bert"])
def small_encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random encoder of each family with the bundled tokenizer."""
    torch.manual_seed(0)
    model = (
        AlbertModel(AlbertConfig(**SMALL_OF_BOTH, embedding_size=16, num_hidden_groups=2))
        if request.param == "albert"
        else BertModel(BertConfig(**SMALL_OF_BOTH))
    )
    for parameter in model.parameters():  # as initialized, every bias is 0 and every norm 1: no error would show
        torch.nn.init.normal_(parameter, std=0.3)
    folder = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(BUNDLED / name, folder)
    return folder
