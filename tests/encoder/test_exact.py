"""Exact arithmetic: the same bytes in every batch, on every processor, and close to float32."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sentiment.encoder.config import Pooling, Precision
from sentiment.encoder.exact import ExactTransformer, Layout, attention
from sentiment.numerics.memory import Buffers
from tests.encoder.conftest import config, load
from tests.project import BUNDLED, ROOT

EXACT: list[Precision] = ["int8", "int16"]


def min_cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "mean+max"])
def test_int16_is_float32_of_both_families(small_encoder: Path, pooling: Pooling, texts: list[str]) -> None:
    float32, int16, int8 = (
        load(small_encoder, name, pooling).encode(texts[:60]) for name in ("float32", "int16", "int8")
    )
    np.testing.assert_allclose(int16, float32, atol=5e-3)
    assert min_cosine(int16, float32) > 0.99999
    assert min_cosine(int8, float32) > 0.98


def test_bundled_encoder_stays_close_to_float32(texts: list[str]) -> None:
    float32, int16, int8 = (load(BUNDLED, name, "mean").encode(texts[:300]) for name in ("float32", "int16", "int8"))
    assert min_cosine(int16, float32) > 0.99999
    assert min_cosine(int8, float32) > 0.998


@pytest.mark.parametrize("precision", EXACT)
def test_features_are_the_same_bytes_alone_among_many_and_in_any_order(texts: list[str], precision: Precision) -> None:
    encoder = load(BUNDLED, precision)
    texts = texts[:300]
    together = encoder.encode(texts)
    order = random.Random(0).sample(range(len(texts)), len(texts))
    shuffled = encoder.encode([texts[index] for index in order])
    assert shuffled.tobytes() == together[order].tobytes()
    for index in (0, 1, 2, 3, 150, 299):
        assert encoder.encode([texts[index]]).tobytes() == together[index].tobytes(), texts[index]


@pytest.mark.parametrize("precision", EXACT)
def test_padding_changes_no_byte_of_a_small_encoder(
    small_encoder: Path, texts: list[str], precision: Precision
) -> None:
    """One padded batch of very different lengths."""
    model = load(small_encoder, precision).model
    ids = load(small_encoder, precision).tokenize(texts[:40])
    assert isinstance(model, ExactTransformer)
    together = model.encode(ids, "mean+max").numpy()
    assert together.tobytes() == b"".join(model.encode([one], "mean+max").numpy().tobytes() for one in ids)


@pytest.mark.parametrize("bits", [8, 16])
def test_padding_is_no_key_however_small_the_scores_are(bits: int) -> None:
    """A single token attends to itself alone; its score here is -4e37."""
    cpu = torch.device("cpu")
    x = torch.full((64, 6), 5e18)
    x[:, 2:4] *= -1

    def context(token_ids: list[list[int]]) -> torch.Tensor:
        return attention(x, Layout(token_ids, cpu), 1, 512, bits, Buffers(cpu))[0]

    assert torch.equal(context([[1], [1] * 12]), context([[1]]))


PROGRAM = """
import hashlib, json, sys
from pathlib import Path
import torch
from sentiment.encoder.frozen import FrozenEncoder
from sentiment.encoder.config import EncoderConfig
folder, config, texts, threads = json.load(sys.stdin)
torch.set_num_threads(threads)
digests = []
for precision in ("int8", "int16", "float32"):
    encoder = FrozenEncoder.load(Path(folder), EncoderConfig(**config, precision=precision), "cpu")
    digests.append(hashlib.sha256(encoder.encode(texts).tobytes()).hexdigest())
print(*digests)
"""
PROCESSORS = {
    "this processor": {},
    "torch without vectors": {"ATEN_CPU_CAPABILITY": "default"},
    "oneDNN with AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "SENTIMENT_KERNELS": "always"},
    "MKL for any processor": {"MKL_CBWR": "COMPATIBLE"},
    "no native int8": {"SENTIMENT_INT8": "float32"},
    "no native int8, kernels": {"SENTIMENT_INT8": "float32", "SENTIMENT_KERNELS": "always"},
}


def digests(texts: list[str], threads: int, environment: dict[str, str]) -> Iterator[str]:
    settings = config("auto").model_dump(exclude={"precision"})
    arguments = json.dumps([str(BUNDLED), settings, texts, threads])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, input=arguments, text=True,
        env=os.environ | environment, capture_output=True, check=True, timeout=300,
    )  # fmt: skip
    yield from done.stdout.split()


@pytest.mark.slow
def test_features_are_the_same_bytes_on_every_processor(texts: list[str]) -> None:
    """Emulated by environment variables, which do change float32; the pipeline is run on more of them."""
    some = texts[:30]
    runs = {name: tuple(digests(some, 2, environment)) for name, environment in PROCESSORS.items()}
    runs["one thread"] = tuple(digests(some, 1, {}))
    assert {int8 for int8, _, _ in runs.values()} == {runs["this processor"][0]}
    assert {int16 for _, int16, _ in runs.values()} == {runs["this processor"][1]}
    assert len({float32 for _, _, float32 in runs.values()}) > 1
