"""Measure FrozenEncoder in each precision beside other engines: same weights, texts and tokens."""

import os
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from unittest.mock import patch

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from transformers import AlbertConfig, AlbertModel

from benchmarks.machine import encoder_flops, matmul_rate, synchronize
from benchmarks.peers import Encode, peers
from sentiment.encoder.config import EncoderConfig, Precision
from sentiment.encoder.exact import KERNELS
from sentiment.encoder.floating import FloatTransformer
from sentiment.encoder.frozen import FrozenEncoder
from sentiment.numerics.multiply_add import is_used
from sentiment.numerics.products import VARIABLE, Backend, backend

BUNDLED = Path("models/encoders/reviews-albert")
# of the products, by precision, the first one that a row's name contains; float32 is measured in any case
DTYPES: dict[Precision, torch.dtype] = {"int8": torch.int8, "int16": torch.int8, "bfloat16": torch.bfloat16}


def base_shape(folder: Path) -> Path:
    """Make an encoder of albert-base-v1's shape: random weights compute as long as trained ones."""
    torch.manual_seed(0)
    config = AlbertConfig(
        hidden_size=768, num_attention_heads=12, intermediate_size=3072, num_hidden_layers=12, embedding_size=128
    )
    AlbertModel(config, add_pooling_layer=False).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(BUNDLED / name, folder)
    return folder


def load(folder: Path, max_length: int, device: str, precision: Precision = "float32") -> FrozenEncoder:
    """Load an encoder of this project with mean pooling."""
    config = EncoderConfig(max_length=max_length, pooling="mean", precision=precision)
    encoder = FrozenEncoder.load(folder, config, device)
    encoder.load_kernels()  # as a server does; the other engines compile now, too
    return encoder


def load_without_native_int8(folder: Path, max_length: int, device: str) -> FrozenEncoder:
    """Load the encoder in int8 as on a processor that does not multiply int8 natively."""
    with patch.dict(os.environ, {VARIABLE: "float32"}):
        backend.cache_clear()
        encoder = load(folder, max_length, device, "int8")
    backend.cache_clear()
    return encoder


def baseline(folder: Path, max_length: int, device: str) -> Encode:
    """Return mean pooling by sentence-transformers, in float32: else it would compute in the bundled file's float16."""
    exact = {"dtype": torch.float32}
    transformer = Transformer(str(folder), max_seq_length=max_length, model_kwargs=exact)
    modules = [transformer, Pooling(transformer.get_embedding_dimension())]
    return partial(SentenceTransformer(modules=modules, device=device).encode, show_progress_bar=False)


def load_without_kernels(folder: Path, max_length: int, device: str) -> FrozenEncoder:
    """Load the encoder in int8 by torch's operations, as where Numba is not installed."""
    with patch.dict(os.environ, {KERNELS: "never"}):
        return load(folder, max_length, device, "int8")


def dtype_of_products(name: str, int8: Backend) -> torch.dtype:
    """Return the type in which what `name` describes multiplies matrices, on a device with such int8 products."""
    if "by float32 products" in name:
        return torch.float32
    if int8 == "float32" and name == "this project, int8" and is_used():
        return torch.int16
    if int8 == "float32" and "int" in name:  # torch._int_mm takes minutes there
        return torch.float64 if "int16" in name else torch.float32
    return next((dtype for precision, dtype in DTYPES.items() if precision in name), torch.float32)


def measure(
    folder: Path, max_length: int, texts: Sequence[str], device: str, rounds: int
) -> Iterator[dict[str, object]]:
    """Yield a row by precision: texts a second (best of `rounds`, in turn), the limit's share, cosine to float32.

    The limit is the rate of a matrix product in the same precision; without native int8, of what takes its place.
    """
    encoder = load(folder, max_length, device)
    compared: dict[str, Encode] = {
        "sentence-transformers": baseline(folder, max_length, device),
        "this project": encoder.encode,
        **{f"this project, {name}": load(folder, max_length, device, name).encode for name in DTYPES},
        "this project, int8 by torch's operations": load_without_kernels(folder, max_length, device).encode,
        "this project, int8 by float32 products": load_without_native_int8(folder, max_length, device).encode,
        **(peers(folder, max_length, texts) if device == "cpu" else {}),
    }
    for encode in compared.values():  # what is compiled, is compiled now
        encode(texts[: len(texts) // 4])
    seconds = dict.fromkeys(compared, float("inf"))
    dtypes = {name: dtype_of_products(name, backend(torch.device(device))) for name in compared}
    limits = dict.fromkeys(dtypes.values(), 0.0)
    vectors = {}
    for _ in range(rounds):
        limits = {dtype: max(limit, matmul_rate(device, dtype)) for dtype, limit in limits.items()}
        for name, encode in compared.items():
            started = perf_counter()
            vectors[name] = np.asarray(encode(texts))
            synchronize(device)
            seconds[name] = min(seconds[name], perf_counter() - started)
    assert isinstance(encoder.model, FloatTransformer)
    work = encoder_flops([len(ids) for ids in encoder.tokenize(texts)], encoder.model.config)
    unit = {name: rows / np.linalg.norm(rows, axis=1, keepdims=True) for name, rows in vectors.items()}
    ours = unit["this project"]
    for name in compared:
        is_same = unit[name].shape == ours.shape  # not static vectors, which multiply no matrices
        yield {
            "encoder": folder.name,
            "tokens": max_length,
            "baseline": name,
            "texts_per_second": len(texts) / seconds[name],
            "times_sentence_transformers": seconds["sentence-transformers"] / seconds[name],
            "share_of_matmul": work / seconds[name] / limits[dtypes[name]] if is_same else None,
            "least_cosine": float((ours * unit[name]).sum(1).min()) if is_same else None,
        }
