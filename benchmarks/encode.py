"""FrozenEncoder against sentence-transformers and the feature-extraction pipeline: same weights, texts and tokens."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from transformers import AlbertConfig, AlbertModel, pipeline

from benchmarks.machine import encoder_flops, matmul_rate, synchronize
from sentiment.encoder.config import EncoderConfig, Precision
from sentiment.encoder.floating import FloatTransformer
from sentiment.encoder.frozen import FrozenEncoder
from sentiment.numerics.products import VARIABLE, backend

BUNDLED = Path("models/encoders/bundled")
Encode = Callable[[Sequence[str]], NDArray[np.float32]]


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
    return FrozenEncoder.load(folder, config, device)


def load_without_native_int8(folder: Path, max_length: int, device: str) -> FrozenEncoder:
    """Load the encoder in int8 as on a processor that does not multiply int8 natively."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = "float32"
    backend.cache_clear()
    try:
        return load(folder, max_length, device, "int8")
    finally:
        backend.cache_clear()
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def baselines(folder: Path, max_length: int, device: str) -> dict[str, Encode]:
    """Return what is compared with this project, by name; each maps texts to mean-pooled vectors.

    The feature-extraction pipeline gives vectors of padding too, so its means are a little off.
    """
    exact = {"dtype": torch.float32}  # else theirs would compute in the float16 of the bundled file
    transformer = Transformer(str(folder), max_seq_length=max_length, model_kwargs=exact)
    modules = [transformer, Pooling(transformer.get_embedding_dimension())]
    sentence_transformer = SentenceTransformer(modules=modules, device=device)
    extract = pipeline("feature-extraction", model=str(folder), device=device, batch_size=32, dtype=torch.float32)
    truncated = {"truncation": True, "max_length": max_length}

    def by_pipeline(texts: Sequence[str]) -> NDArray[np.float32]:
        tokens = extract(list(texts), return_tensors=True, tokenize_kwargs=truncated)
        return np.stack([text[0].mean(0).numpy() for text in tokens])

    return {
        "sentence-transformers": partial(sentence_transformer.encode, show_progress_bar=False),
        "feature-extraction pipeline": by_pipeline,
    }


def measure(
    folder: Path, max_length: int, texts: Sequence[str], device: str, rounds: int
) -> Iterator[dict[str, object]]:
    """Yield a row by baseline: texts a second (best of `rounds`, in turn), the limit's share, cosine to this project.

    The limit is the rate of a matrix product in the same precision.
    """
    encoder = load(folder, max_length, device)
    compared: dict[str, Encode] = {"this project": encoder.encode}
    for precision in ("bfloat16", "int8", "int16"):
        compared[f"this project, {precision}"] = load(folder, max_length, device, precision).encode
    compared["this project, int8 by float32 products"] = load_without_native_int8(folder, max_length, device).encode
    compared |= baselines(folder, max_length, device)
    seconds = dict.fromkeys(compared, float("inf"))
    dtypes = dict.fromkeys(compared, torch.float32)
    dtypes |= {"this project, bfloat16": torch.bfloat16}
    dtypes |= dict.fromkeys(("this project, int8", "this project, int16"), torch.int8)
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
    for name in compared:
        yield {
            "encoder": folder.name,
            "tokens": max_length,
            "baseline": name,
            "texts_per_second": len(texts) / seconds[name],
            "times_sentence_transformers": seconds["sentence-transformers"] / seconds[name],
            "share_of_matmul": work / seconds[name] / limits[dtypes[name]],
            "least_cosine": float(cosine(vectors["this project"], vectors[name]).min()),
        }


def cosine(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the cosine of each pair of rows."""
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.asarray((one * other).sum(1) / norms)
