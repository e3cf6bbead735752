"""Exact arithmetic on a CUDA GPU: the bytes of the CPU, in the features and in dvc.lock.

pytest -m gpu
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sentiment.encoder.config import Precision
from sentiment.encoder.exact import ExactTransformer
from sentiment.encoder.frozen import FrozenEncoder
from sentiment.numerics.products import backend
from tests.encoder.conftest import config
from tests.project import BUNDLED, ROOT, make_project

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU"),
]

EXACT: list[Precision] = ["int8", "int16"]


def encode(folder: Path, precision: Precision, device: str, texts: list[str]) -> NDArray[np.float32]:
    return FrozenEncoder.load(folder, config(precision), device).encode(texts)


@pytest.mark.parametrize("precision", EXACT)
def test_features_are_the_bytes_of_the_cpu(precision: Precision, texts: list[str]) -> None:
    on_gpu = encode(BUNDLED, precision, "cuda", texts)
    assert on_gpu.tobytes() == encode(BUNDLED, precision, "cpu", texts).tobytes()
    assert np.isfinite(on_gpu).all()


@pytest.mark.parametrize("precision", EXACT)
def test_features_of_a_small_bert_and_albert_are_the_bytes_of_the_cpu(
    small_encoder: Path, precision: Precision, texts: list[str]
) -> None:
    on_gpu = encode(small_encoder, precision, "cuda", texts[:300])
    assert on_gpu.tobytes() == encode(small_encoder, precision, "cpu", texts[:300]).tobytes()


@pytest.mark.parametrize("precision", EXACT)
def test_a_text_has_the_same_bytes_alone_and_in_any_batch(precision: Precision, texts: list[str]) -> None:
    together = encode(BUNDLED, precision, "cuda", texts[:300])
    for number in (0, 7, 299):
        assert encode(BUNDLED, precision, "cuda", [texts[number]]).tobytes() == together[number].tobytes()
    reversed_order = encode(BUNDLED, precision, "cuda", texts[299::-1])
    assert reversed_order[::-1].tobytes() == together.tobytes()


def test_kernels_give_the_bytes_of_the_cpu(texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of Triton, which comes with torch's CUDA builds; one batch decides whether they are used."""
    monkeypatch.setenv("SENTIMENT_KERNELS", "always")
    encoder = FrozenEncoder.load(BUNDLED, config("int8"), "cuda")
    assert encoder.encode(texts).tobytes() == encode(BUNDLED, "int8", "cpu", texts).tobytes()
    assert isinstance(encoder.model, ExactTransformer)
    assert encoder.model.has_kernels


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
