"""FrozenEncoder on small models made here, ALBERT and the other classes that people use."""

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from transformers import AlbertConfig, BertConfig, BertModel, DistilBertConfig, PretrainedConfig

from sentiment.common.errors import EncoderError
from sentiment.encoder.floating import TransformersEncoder
from sentiment.encoder.frozen import FrozenEncoder
from sentiment.encoder.loading import pick_device, pool
from tests.encoder.conftest import SMALL, spec
from tests.random_encoders import random_model, save_encoder

TEXTS = ["Soft and warm", "", "too big, " * 30, "I love it!", "zzyzx 😀 ünlikely"]


def test_one_text_gives_one_vector_whatever_its_batch(albert: Path) -> None:
    encoder = FrozenEncoder.load(albert, spec(), "cpu")
    together = encoder.encode(TEXTS * 20)
    assert together.shape == (100, 32)
    assert together.dtype == np.float32
    for index, text in enumerate(TEXTS):
        np.testing.assert_allclose(encoder.encode([text])[0], together[index], atol=1e-5)
        np.testing.assert_allclose(together[index + 95], together[index], atol=1e-5)


def test_no_pooler_no_gradient_no_dropout(bert: Path) -> None:
    loaded = FrozenEncoder.load(bert, spec(), "cpu").model
    assert isinstance(loaded, TransformersEncoder)
    model = loaded.module
    assert not any("pooler" in name for name, _ in model.named_parameters())
    assert any("pooler" in name for name, _ in BertModel.from_pretrained(bert).named_parameters())
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not model.training
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize(
    "config",
    [
        BertConfig(**SMALL, intermediate_size=64, hidden_act="relu"),
        DistilBertConfig(vocab_size=30_000, dim=32, n_layers=2, n_heads=2, hidden_dim=64),
        AlbertConfig(**SMALL, embedding_size=16, intermediate_size=64, hidden_act="relu"),
    ],
    ids=["bert-of-another-activation", "distilbert-without-a-pooler", "albert-of-another-activation"],
)
def test_other_encoders(config: PretrainedConfig, tmp_path: Path) -> None:
    model = random_model(config).train(False)
    encoder = FrozenEncoder.load(save_encoder(model, tmp_path), spec(), "cpu")
    assert isinstance(encoder.model, TransformersEncoder)
    for text, vector in zip(TEXTS, encoder.encode(TEXTS), strict=True):
        with torch.no_grad():
            hidden = model(input_ids=torch.tensor(encoder.tokenize([text]))).last_hidden_state
        np.testing.assert_allclose(vector, hidden[0].mean(0), atol=1e-5)


def change_weight(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors["embeddings.LayerNorm.bias"][0] += 1
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def change_layers(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))


def change_tokenizer(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer | {"normalizer": None}))


@pytest.mark.parametrize("change", [change_weight, change_layers, change_tokenizer])
def test_fingerprint_changes_with_everything_that_decides_a_vector(
    albert: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    before = FrozenEncoder.load(albert, spec(), "cpu")
    folder = Path(shutil.copytree(albert, tmp_path / "changed"))
    assert FrozenEncoder.load(folder, spec(), "cpu").fingerprint == before.fingerprint
    change(folder)
    after = FrozenEncoder.load(folder, spec(), "cpu")
    assert not np.array_equal(after.encode(["Soft AND warm"]), before.encode(["Soft AND warm"]))
    assert after.fingerprint != before.fingerprint


def test_low_precision_stays_close(albert: Path) -> None:
    exact = FrozenEncoder.load(albert, spec(), "cpu").encode(TEXTS)
    rough = FrozenEncoder.load(albert, spec(precision="bfloat16"), "cpu").encode(TEXTS)
    assert not np.array_equal(exact, rough)
    cosine = (exact * rough).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(rough, axis=1)
    assert cosine.min() > 0.999


def test_a_local_folder_never_touches_the_network(albert: Path, bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert FrozenEncoder.load(albert, spec(), "cpu").dim == 32
    assert FrozenEncoder.load(bert, spec(), "cpu").dim == 32


def test_padding_changes_no_vector() -> None:
    hidden = torch.tensor([[[1.0], [3.0], [99.0]]])
    mask = torch.tensor([[1, 1, 0]])
    assert pool(hidden, mask, "mean+max").tolist() == [[2.0, 3.0]]


def test_auto_is_int8_for_an_albert_and_float32_for_other_encoders(albert: Path, bert: Path) -> None:
    assert FrozenEncoder.load(albert, spec(precision="auto"), "cpu").precision == "int8"
    assert FrozenEncoder.load(bert, spec(precision="auto"), "cpu").precision == "float32"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_an_unavailable_device_is_refused() -> None:
    with pytest.raises(EncoderError, match=r"device 'cuda' is not available; set encode\.device to auto or cpu"):
        pick_device("cuda")
