"""Prints what the kernels compute on the processor that Numba compiles for, and their fused multiply-adds, as JSON.

python -m tests.numerics.kernel_hashes

Features of small random encoders of both families, with kernels and without.
"""

import hashlib
import json
import os
import re
from typing import Any

import numpy as np
import torch

from sentiment.encoder.exact import KERNELS, ExactTransformer
from sentiment.encoder.families import TransformerConfig, param_shapes
from sentiment.numerics import kernels, multiply_add

ALL_KERNELS: tuple[Any, ...] = (
    kernels.embed, kernels.project, kernels.add_and_norm, kernels.activate, kernels.quantize_heads,
    kernels.softmax_weights, kernels.quantize_context, kernels.pool, multiply_add.multiply,
)  # fmt: skip
FUSED = re.compile(r"\b(v?fn?m(add|sub)\w*|fml[as]\w*|fn?m(la|ls)\w*)\b")
SIZES: dict[str, Any] = {
    "vocab_size": 500, "hidden_size": 96, "intermediate_size": 200, "num_attention_heads": 3, "num_hidden_layers": 3,
    "max_position_embeddings": 64, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
}  # fmt: skip
CONFIGS = (
    TransformerConfig(model_type="albert", hidden_act="gelu_new", embedding_size=40, **SIZES),
    TransformerConfig(model_type="bert", hidden_act="gelu", **SIZES),
)
LENGTHS = (64, 1, 2, 17, 30, 30, 31, 33)


def features(config: TransformerConfig) -> str:
    """Return the SHA-256 of the features of some random texts by random weights."""
    generator = np.random.default_rng(0)  # the same numbers on every processor
    weights = {
        name: torch.from_numpy(generator.standard_normal(shape, np.float32)).mul_(0.2)
        for name, shape in param_shapes(config).items()
    }
    encoder = ExactTransformer(config, weights, 8, torch.device("cpu"))
    ids = [generator.integers(0, config.vocab_size, n).tolist() for n in LENGTHS]
    return hashlib.sha256(encoder.encode(ids, "mean+max").numpy().tobytes()).hexdigest()


def main() -> None:
    hashes: dict[str, list[str]] = {}
    for choice in ("always", "never"):
        os.environ[KERNELS] = choice
        hashes[choice] = [features(config) for config in CONFIGS]
    assembly = [code for kernel in ALL_KERNELS for code in kernel.inspect_asm().values()]
    print(  # noqa: T201
        json.dumps(
            {
                "hashes": hashes,
                "fused": sorted({match[0] for code in assembly for match in FUSED.finditer(code)}),
                "lines": min(len(code.splitlines()) for code in assembly),
                "has_avx": any("%ymm" in code for code in assembly),
                "has_multiply_add": any("pmaddwd" in code for code in assembly),
                "n_compiled": len(assembly),
            }
        )
    )


if __name__ == "__main__":
    main()
