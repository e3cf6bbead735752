"""Exact arithmetic on a CUDA GPU: the bytes of the CPU, in the features and in dvc.lock.

pytest -m gpu
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import BertConfig, BertModel

from sentiment.data.csv_chunks import read_chunks
from sentiment.data.text import join_text
from sentiment.encoder.frozen import FrozenEncoder
from sentiment.features.config import EncoderConfig, Precision
from sentiment.numerics.backend import backend
from tests.conftest import ROOT, SAMPLE, make_project

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU"),
]

BUNDLED = ROOT / "models" / "encoders" / "bundled"
EXACT: list[Precision] = ["int8", "int16"]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    chunk = next(iter(read_chunks(ROOT / SAMPLE, ["Title", "Review Text"])))
    joined = (join_text(list(row)) for row in chunk[["Title", "Review Text"]].itertuples(index=False, name=None))
    return [text for text in joined if text]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with a row of weights much larger than the others, so that outliers take part."""
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "hidden_size": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 384,
    }
    model = BertModel(BertConfig(vocab_size=6_078, **sizes), add_pooling_layer=False)
    weights = model.state_dict()
    weights["encoder.layer.0.output.dense.weight"][3].mul_(40.0)
    model.load_state_dict(weights)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((BUNDLED / name).read_bytes())
    return folder


def encode(folder: Path, precision: Precision, device: str, texts: list[str]) -> NDArray[np.float32]:
    config = EncoderConfig(encoder=str(folder), max_length=128, pooling="mean+max", precision=precision)
    return FrozenEncoder.load(config, device).encode(texts)


@pytest.mark.parametrize("precision", EXACT)
@pytest.mark.parametrize("family", ["albert", "bert"])
def test_features_are_the_bytes_of_the_cpu(family: str, precision: Precision, bert: Path, texts: list[str]) -> None:
    folder = BUNDLED if family == "albert" else bert
    on_gpu = encode(folder, precision, "cuda", texts)
    assert on_gpu.tobytes() == encode(folder, precision, "cpu", texts).tobytes()
    assert np.isfinite(on_gpu).all()


@pytest.mark.parametrize("precision", EXACT)
def test_a_text_has_the_same_bytes_alone_and_in_any_batch(precision: Precision, texts: list[str]) -> None:
    together = encode(BUNDLED, precision, "cuda", texts[:300])
    for number in (0, 7, 299):
        assert encode(BUNDLED, precision, "cuda", [texts[number]]).tobytes() == together[number].tobytes()
    reversed_order = encode(BUNDLED, precision, "cuda", texts[299::-1])
    assert reversed_order[::-1].tobytes() == together.tobytes()


def test_the_gpu_multiplies_int8_natively() -> None:
    assert backend(torch.device("cuda")) == "native"


def test_the_lock_is_that_of_the_cpu(tmp_path: Path) -> None:
    project = make_project(tmp_path, {})
    (tmp_path / "params.yaml").write_bytes((ROOT / "tests/defaults/params.yaml").read_bytes())
    on_gpu = project.run("dvc", "repro", "--force")
    assert "reviews on cuda" in on_gpu.stderr + on_gpu.stdout
    lock = (tmp_path / "dvc.lock").read_bytes()
    project.run("dvc", "repro", "--force", check=True, CUDA_VISIBLE_DEVICES="")
    assert (tmp_path / "dvc.lock").read_bytes() == lock
