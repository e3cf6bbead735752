"""Encoders that cannot be loaded, or not with these settings: each refused in one line."""

import io
import shutil
import sys
from pathlib import Path

import pytest
from sentencepiece import SentencePieceTrainer

from sentiment.common.errors import EncoderError
from sentiment.encoder.frozen import FrozenEncoder
from tests.encoder.conftest import spec
from tests.random_encoders import forget_tokenizer_class


@pytest.fixture
def broken(albert: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(albert, tmp_path / "broken"))


def refusal(encoder: Path, **changes: object) -> str:
    with pytest.raises(EncoderError) as refused:
        FrozenEncoder.load(encoder, spec(**changes), "cpu")
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_missing_weights(broken: Path) -> None:
    (broken / "model.safetensors").unlink()
    assert "no safetensors weights" in refusal(broken)


def test_truncated_weights(broken: Path) -> None:
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    assert "could not be loaded" in refusal(broken)


def test_weights_that_lack_a_tensor(broken: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(broken / "model.safetensors")
    del tensors["encoder.embedding_hidden_mapping_in.weight"]
    save_file(tensors, broken / "model.safetensors", {"format": "pt"})
    assert "1 weights are missing, such as encoder.embedding_hidden_mapping_in.weight" in refusal(broken)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(broken: Path, value: float) -> None:
    """With int8 they ended in a traceback: no integer stands for them."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(broken / "model.safetensors")
    tensors["encoder.albert_layer_groups.0.albert_layers.0.ffn.weight"][0, 0] = value
    save_file(tensors, broken / "model.safetensors", {"format": "pt"})
    expected = "the weight encoder.albert_layer_groups.0.albert_layers.0.ffn.weight holds a NaN or infinity"
    assert expected in refusal(broken, precision="int8")


def test_a_sentencepiece_model_is_read_and_without_its_library_named(
    broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The form in which ALBERT was published: transformers asked for tiktoken, which cannot read it."""
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (broken / name).unlink()
    model = io.BytesIO()
    texts = ["soft and warm", "poor quality, I sent it back", "the color is lovely"] * 50
    SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, vocab_size=32, minloglevel=2, pad_id=0, unk_id=1,
        bos_id=-1, eos_id=-1, user_defined_symbols=["[CLS]", "[SEP]", "[MASK]"],
    )  # fmt: skip
    (broken / "spiece.model").write_bytes(model.getvalue())
    encoder = FrozenEncoder.load(broken, spec(), "cpu")
    assert encoder.encode(["soft and warm"]).shape == (1, encoder.dim)
    assert len(set(encoder.tokenize(["soft and warm"])[0])) > 3
    for package in ("sentencepiece", "google.protobuf"):
        with monkeypatch.context() as without:
            without.setitem(sys.modules, package, None)
            assert refusal(broken).endswith("has spiece.model; run pip install protobuf sentencepiece")


def test_an_invalid_tokenizer(broken: Path) -> None:
    (broken / "tokenizer.json").write_text("{}")
    assert "tokenizer.json: not a tokenizer" in refusal(broken)


def test_a_tokenizer_of_another_class(broken: Path) -> None:
    """Without a name, transformers takes ALBERT's own class, and fails with a TypeError."""
    forget_tokenizer_class(broken)
    assert "could not be loaded: " in refusal(broken)


def test_a_folder_without_config(tmp_path: Path) -> None:
    assert "config.json: no such file" in refusal(tmp_path)


def test_an_encoder_that_is_not_a_folder() -> None:
    assert "is no folder; expected one that the stage finetune writes" in refusal(Path("albert/albert-base-v1"))


def test_more_tokens_than_the_encoder_takes(albert: Path) -> None:
    assert "encode.max_length is 513, but" in refusal(albert, max_length=513)


@pytest.mark.parametrize("precision", ["int8", "int16"])
def test_exact_precision_of_another_encoder_is_refused(bert: Path, precision: str) -> None:
    assert f"encode.precision {precision} is for BERT and ALBERT with GELU" in refusal(bert, precision=precision)
