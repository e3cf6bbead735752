"""Exact arithmetic: the same bytes in every batch, on every processor, and close to float32."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AlbertConfig, AlbertModel, BertConfig, BertModel

from sentiment.data.csv_chunks import read_chunks
from sentiment.data.text import join_text
from sentiment.encoder.exact import ExactTransformer
from sentiment.encoder.frozen import FrozenEncoder
from sentiment.features.config import EncoderConfig, Pooling, Precision
from tests.conftest import ROOT

BUNDLED = ROOT / "models" / "encoders" / "bundled"
SMALL: dict[str, Any] = {
    "vocab_size": 6_078, "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 64,
}  # fmt: skip
EXACT: list[Precision] = ["int8", "int16"]

# Every operation that an encode run may use, and why its result has the same bits everywhere.
ELEMENTWISE = {"add", "sub", "mul", "div"}  # IEEE 754: correctly rounded; without alpha, so never fused
INTEGER_SUMS = {"_int_mm", "mm", "bmm", "sum"}  # of integers small enough that no partial sum is rounded
CHOICES = {  # one of its inputs, or an integer
    "abs", "amax", "gt", "nonzero", "clamp", "clamp_min", "clamp_max", "ceil", "round", "floor",
}  # fmt: skip
MEMORY = {  # moves, shapes or converts: to integers that the type holds, or to the nearest float
    "_to_copy", "alias", "cat", "clone", "contiguous", "copy", "detach", "empty", "empty_like", "empty_strided",
    "expand", "fill",
    "full", "full_like", "index_select", "lift_fresh", "ones_like", "permute", "reshape", "resize", "select", "slice",
    "split", "squeeze", "t", "transpose", "unbind", "unsqueeze", "view", "zero", "zeros", "_reshape_alias",
    "_unsafe_view", "resolve_conj", "resolve_neg", "set", "to",
    "scalar_tensor", "new_empty", "as_strided", "_local_scalar_dense",
}  # fmt: skip
ALLOWED = ELEMENTWISE | INTEGER_SUMS | CHOICES | MEMORY
# their floats are integers on a grid: `integer_product`, `exact_attention` and `integer_sums` say why


class Recorder(TorchDispatchMode):
    """Records the name of every torch operation, without the underscore of an in-place one."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: set[str] = set()
        self.with_alpha: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.names.add(name if name.startswith("_") else name.rstrip("_"))
        if (kwargs or {}).get("alpha", 1) != 1:
            self.with_alpha.add(name)
        return func(*args, **(kwargs or {}))


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """The reviews of the sample, and some that are empty, very short or cut."""
    chunks = read_chunks(ROOT / "data" / "raw" / "sample.csv", ["Title", "Review Text"])
    rows = (join_text(parts) for chunk in chunks for parts in chunk.itertuples(index=False, name=None))
    return ["", "a", "zzyzx 😀 ünlikely", "too big, " * 60, *(text for text in rows if text)][:1_000]


def config(encoder: Path, precision: Precision, pooling: Pooling = "mean+max") -> EncoderConfig:
    return EncoderConfig(encoder=str(encoder), max_length=128, pooling=pooling, precision=precision)


def load(encoder: Path, precision: Precision, pooling: Pooling = "mean+max") -> FrozenEncoder:
    return FrozenEncoder.load(config(encoder, precision, pooling), "cpu")


@pytest.fixture(scope="module", params=["albert", "bert"])
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random encoder of each family with the bundled tokenizer."""
    torch.manual_seed(0)
    model = (
        AlbertModel(AlbertConfig(**SMALL, embedding_size=16, num_hidden_groups=2))
        if request.param == "albert"
        else BertModel(BertConfig(**SMALL))
    )
    for parameter in model.parameters():  # as initialized, every bias is 0 and every norm 1: no error would show
        torch.nn.init.normal_(parameter, std=0.3)
    folder = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(BUNDLED / name, folder)
    return folder


def min_cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "mean+max"])
def test_int16_is_float32_of_both_families(small: Path, pooling: Pooling, texts: list[str]) -> None:
    float32, int16, int8 = (load(small, name, pooling).encode(texts[:60]) for name in ("float32", "int16", "int8"))
    np.testing.assert_allclose(int16, float32, atol=5e-3)
    assert min_cosine(int16, float32) > 0.99999
    assert min_cosine(int8, float32) > 0.98


def test_bundled_encoder_stays_close_to_float32(texts: list[str]) -> None:
    float32, int16, int8 = (load(BUNDLED, name, "mean").encode(texts) for name in ("float32", "int16", "int8"))
    assert min_cosine(int16, float32) > 0.99999
    assert min_cosine(int8, float32) > 0.998


@pytest.mark.parametrize("precision", EXACT)
def test_features_are_the_same_bytes_alone_among_a_thousand_and_in_any_order(
    texts: list[str], precision: Precision
) -> None:
    encoder = load(BUNDLED, precision)
    together = encoder.encode(texts)
    assert len(texts) == 1_000
    order = random.Random(0).sample(range(len(texts)), len(texts))
    shuffled = encoder.encode([texts[index] for index in order])
    assert shuffled.tobytes() == together[order].tobytes()
    for index in (0, 1, 2, 3, 500, 999):
        assert encoder.encode([texts[index]]).tobytes() == together[index].tobytes(), texts[index]


@pytest.mark.parametrize("precision", EXACT)
def test_padding_changes_no_byte_of_a_small_encoder(small: Path, texts: list[str], precision: Precision) -> None:
    """One padded batch of very different lengths."""
    model = load(small, precision).model
    ids = load(small, precision).tokenize(texts[:40])
    assert isinstance(model, ExactTransformer)
    together = model.encode(ids, "mean+max").numpy()
    assert together.tobytes() == b"".join(model.encode([one], "mean+max").numpy().tobytes() for one in ids)


@pytest.mark.parametrize("backend", ["auto", "float32"])
@pytest.mark.parametrize("precision", EXACT)
def test_every_torch_operation_is_one_that_is_exact(
    small: Path, texts: list[str], precision: Precision, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentiment.numerics.backend import backend as int8_backend

    monkeypatch.setenv("SENTIMENT_INT8", backend)
    int8_backend.cache_clear()
    recorder = Recorder()
    with recorder:
        encoder = load(small, precision)
        assert isinstance(encoder.model, ExactTransformer)
        encoder.model.encode(encoder.tokenize(texts[:40]), "mean+max")
    int8_backend.cache_clear()
    tests_of_the_product = {"randint", "equal", "matmul", "ones", "item"}
    assert recorder.names - ALLOWED - tests_of_the_product == set()
    assert not recorder.with_alpha
    assert {"bmm", "amax", "round"} < recorder.names, "else nothing was recorded"


PROGRAM = """
import hashlib, json, sys
import torch
from sentiment.encoder.frozen import FrozenEncoder
from sentiment.features.config import EncoderConfig
config, texts, threads = json.load(sys.stdin)
torch.set_num_threads(threads)
digests = []
for precision in ("int8", "int16", "float32"):
    encoder = FrozenEncoder.load(EncoderConfig(**config, precision=precision), "cpu")
    digests.append(hashlib.sha256(encoder.encode(texts).tobytes()).hexdigest())
print(*digests)
"""
PROCESSORS = {
    "this processor": {},
    "torch without vectors": {"ATEN_CPU_CAPABILITY": "default"},
    "torch with AVX2": {"ATEN_CPU_CAPABILITY": "avx2"},
    "oneDNN with SSE 4.1": {"ONEDNN_MAX_CPU_ISA": "SSE41"},
    "oneDNN with AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
    "oneDNN with AVX-512 and no int8": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
    "MKL for any processor": {"MKL_CBWR": "COMPATIBLE"},
    "MKL with AVX2": {"MKL_CBWR": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "no native int8": {"SENTIMENT_INT8": "float32"},
}


def digests(texts: list[str], threads: int, environment: dict[str, str]) -> Iterator[str]:
    settings = config(BUNDLED, "auto").model_dump(exclude={"precision"})
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, input=json.dumps([settings, texts, threads]), text=True,
        env=os.environ | environment, capture_output=True, check=True, timeout=300,
    )  # fmt: skip
    yield from done.stdout.split()


@pytest.mark.slow
def test_features_are_the_same_bytes_on_every_processor(texts: list[str]) -> None:
    """Emulated by environment variables, which do change float32: one that changes nothing proves nothing."""
    some = texts[:80]
    runs = {name: tuple(digests(some, 2, environment)) for name, environment in PROCESSORS.items()}
    runs["one thread"] = tuple(digests(some, 1, {}))
    assert {int8 for int8, _, _ in runs.values()} == {runs["this processor"][0]}
    assert {int16 for _, int16, _ in runs.values()} == {runs["this processor"][1]}
    assert len({float32 for _, _, float32 in runs.values()}) > 1
