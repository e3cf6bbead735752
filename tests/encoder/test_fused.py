"""The compiled kernels give the bytes of torch's operations, and are loaded once enough tokens were computed."""

import sys
from pathlib import Path

import pytest
import torch

from sentiment.common.errors import EncoderError
from sentiment.encoder.config import Pooling
from sentiment.encoder.exact import ExactTransformer
from sentiment.encoder.frozen import FrozenEncoder
from sentiment.numerics.multiply_add import is_used
from sentiment.numerics.products import backend
from tests.encoder.conftest import load
from tests.numerics.test_multiply_add import needs_instruction
from tests.project import BUNDLED
from tests.random_encoders import VOCAB_SIZE


@pytest.fixture
def with_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoders that are loaded in the test use kernels from the first token."""
    monkeypatch.setenv("SENTIMENT_KERNELS", "always")


def model_of(encoder: FrozenEncoder) -> ExactTransformer:
    assert isinstance(encoder.model, ExactTransformer)
    return encoder.model


def by_torch(encoder: Path, pooling: Pooling, monkeypatch: pytest.MonkeyPatch) -> FrozenEncoder:
    with monkeypatch.context() as context:
        context.setenv("SENTIMENT_KERNELS", "never")
        return load(encoder, "int8", pooling)


@pytest.mark.usefixtures("with_kernels")
def test_bundled_encoder_has_the_same_bytes(texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    fused, reference = load(BUNDLED, "int8"), by_torch(BUNDLED, "mean+max", monkeypatch)
    assert fused.encode(texts[:400]).tobytes() == reference.encode(texts[:400]).tobytes()
    assert model_of(fused).has_kernels
    assert not model_of(reference).has_kernels


@pytest.mark.usefixtures("with_kernels")
@pytest.mark.parametrize("product", ["auto", "float32", pytest.param("multiply-add", marks=needs_instruction)])
@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "mean+max"])
def test_one_padded_batch_of_a_small_encoder_has_the_same_bytes(
    small_encoder: Path, texts: list[str], pooling: Pooling, product: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTIMENT_INT8", product)
    backend.cache_clear()
    fused, reference = load(small_encoder, "int8", pooling), by_torch(small_encoder, pooling, monkeypatch)
    ids = fused.tokenize(texts[:60])
    vectors, hidden = model_of(fused).encode_with_tokens(ids, pooling)
    expected, expected_hidden = model_of(reference).encode_with_tokens(ids, pooling)
    if product != "auto":
        assert is_used() == (product == "multiply-add")
    backend.cache_clear()
    assert vectors.numpy().tobytes() == expected.numpy().tobytes()
    for one, other in zip(hidden, expected_hidden, strict=True):
        assert one.numpy().tobytes() == other.numpy().tobytes()


@pytest.mark.usefixtures("with_kernels")
@pytest.mark.parametrize("n_threads", [1, 3])
def test_threads_share_the_kernels(texts: list[str], n_threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = by_torch(BUNDLED, "mean", monkeypatch).encode(texts[:200])
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        assert load(BUNDLED, "int8", "mean").encode(texts[:200]).tobytes() == expected.tobytes()
    finally:
        torch.set_num_threads(before)


def test_kernels_are_loaded_for_many_tokens(texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """In one call or in several, and in the middle of a run, which changes no byte."""
    monkeypatch.setenv("SENTIMENT_KERNELS", "auto")
    encoder, reference = load(BUNDLED, "int8", "mean"), by_torch(BUNDLED, "mean", monkeypatch)
    ids = encoder.tokenize(texts[:100])
    config = model_of(encoder).config
    n_activations = config.num_hidden_layers * config.intermediate_size * sum(len(one) for one in ids)
    for n_needed, calls_with_kernels in ((n_activations, 3), (2 * n_activations, 2), (3 * n_activations + 1, 0)):
        encoder = load(BUNDLED, "int8", "mean")
        monkeypatch.setattr(model_of(encoder), "_min_activations", n_needed)
        had_kernels = []
        for _ in range(3):
            assert encoder.encode_tokens(ids).tobytes() == reference.encode_tokens(ids).tobytes()
            had_kernels.append(model_of(encoder).has_kernels)
        assert had_kernels.count(True) == calls_with_kernels
        assert had_kernels == sorted(had_kernels)


def test_kernels_can_be_loaded_before_the_first_text(monkeypatch: pytest.MonkeyPatch) -> None:
    for choice in ("auto", "never"):
        monkeypatch.setenv("SENTIMENT_KERNELS", choice)
        encoder = load(BUNDLED, "int8")
        encoder.load_kernels()
        assert model_of(encoder).has_kernels == (choice == "auto")
    load(BUNDLED, "float32").load_kernels()  # has none


@pytest.mark.usefixtures("with_kernels")
def test_without_numba_torch_computes(texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentiment.encoder.fused", None)  # an import of it fails
    encoder = load(BUNDLED, "int8", "mean")
    assert encoder.encode(texts[:20]).tobytes() == by_torch(BUNDLED, "mean", monkeypatch).encode(texts[:20]).tobytes()
    assert not model_of(encoder).has_kernels


@pytest.mark.usefixtures("with_kernels")
@pytest.mark.parametrize("ids", [[2, VOCAB_SIZE, 3], [2, -1, 3], [5] * 513])  # 512 positions
def test_tokens_out_of_range_are_refused(ids: list[int]) -> None:
    model = model_of(load(BUNDLED, "int8"))
    with pytest.raises(IndexError):
        model.encode([ids], "mean")


@pytest.mark.usefixtures("with_kernels")
def test_int16_is_computed_by_torch(texts: list[str]) -> None:
    encoder = load(BUNDLED, "int16")
    encoder.encode(texts[:20])
    assert not model_of(encoder).has_kernels


def test_an_unknown_choice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTIMENT_KERNELS", "sometimes")
    with pytest.raises(EncoderError, match="SENTIMENT_KERNELS is 'sometimes'; expected one of auto, always, never"):
        load(BUNDLED, "int8")
