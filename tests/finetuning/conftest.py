"""Small encoders, a split that is easy to learn, and the stage that trains one on the other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
import yaml
from transformers import AlbertConfig, BertConfig

from sentiment.common.tables import table_writer
from sentiment.data.schema import table_schema
from stages import finetune
from tests.project import DEFAULTS
from tests.random_encoders import VOCAB_SIZE, random_model, save_encoder
from tests.stages.conftest import Outcome, command  # noqa: F401 - a fixture

SMALL: dict[str, Any] = {
    "vocab_size": VOCAB_SIZE, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 64, "max_position_embeddings": 64,
}  # fmt: skip
WORDS = {1: ("soft", "lovely", "warm"), 0: ("thin", "poor", "itchy")}
SIZES = {"train": 192, "val": 48, "test": 48}

Finetune = Callable[..., Outcome]


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT, whose layers have weights of their own, with the bundled tokenizer."""
    return save_encoder(random_model(BertConfig(**SMALL)), tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="session")
def albert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random ALBERT, whose layers share their weights, with the bundled tokenizer."""
    config = AlbertConfig(**SMALL, embedding_size=16)
    return save_encoder(random_model(config), tmp_path_factory.mktemp("albert"))


@pytest.fixture(scope="session")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables of reviews whose words give their label away."""
    folder = tmp_path_factory.mktemp("split")
    for name, size in SIZES.items():
        write_table(folder / f"{name}.parquet", reviews(name, size))
    return folder


def reviews(name: str, size: int) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for number in range(size):
        label = number % 2
        words = " and ".join(WORDS[label][: 1 + number % 3])
        text = f"{words}, dress number {name} {number}" + ", as it was described" * (number % 5)
        rating = 4 + number % 3 // 2 if label else 1 + number % 3
        rows.append({"id": f"{number:016x}", "text": text, "label": label, "rating": rating})
    return rows


def write_table(path: Path, rows: list[dict[str, object]]) -> None:
    schema = table_schema([], ["Title", "Body"])
    with table_writer(path, schema) as writer:
        writer.write(pa.RecordBatch.from_pylist(rows, schema))


@pytest.fixture
def run_finetune(split: Path, tmp_path: Path, command: Callable[..., Outcome]) -> Finetune:  # noqa: F811
    """Run the stage with some keys changed, into tmp_path / NAME."""
    torch.set_num_threads(1)  # such small products are slower on several
    defaults = yaml.safe_load((DEFAULTS / "params.yaml").read_text())
    settings = {"epochs": 2, "learning_rate": 0.003, "device": "cpu"}

    def call(name: str, encoder: Path, table_folder: Path = split, **keys: object) -> Outcome:
        encode = {"max_length": 32, **{key: keys.pop(key) for key in ("max_length", "pooling") if key in keys}}
        sections = {
            "finetune": {**defaults["finetune"], **settings, "encoder": str(encoder), **keys},
            "encode": defaults["encode"] | encode,
        }
        params = tmp_path / f"{name}.yaml"
        params.write_text(yaml.safe_dump(sections))
        arguments = ["--params", params, "--split", table_folder]
        arguments += ["--output", tmp_path / name, "--log", tmp_path / f"{name}-log"]
        return command(finetune.main, *arguments)

    return call
