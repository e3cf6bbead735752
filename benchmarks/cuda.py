"""Reviews in; on a CUDA GPU, seconds for all of them in int8, and reviews a second of albert-base's shape.

    python -m benchmarks.cuda --reviews reviews.csv

The share is of the GPU's own rate of a dense int8 product, measured in the same run. Best of three rounds.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import torch

from benchmarks.encode import BUNDLED, base_shape, load
from benchmarks.machine import describe, encoder_flops, matmul_rate, synchronize
from benchmarks.reviews import read_texts
from sentiment.common.command import run_main
from sentiment.common.errors import EncoderError
from sentiment.encoder.exact import ExactTransformer
from sentiment.encoder.frozen import FrozenEncoder

ROUNDS = 3
SQUARE = 8_192  # rows and columns of the product whose rate is the limit


def seconds_of(encoder: FrozenEncoder, texts: Sequence[str]) -> tuple[float, float]:
    """Return the least seconds of tokenizing and of tokenizing and encoding; the first round warms up."""
    tokenizing = encoding = float("inf")
    for _ in range(ROUNDS + 1):
        started = perf_counter()
        encoder.tokenize(texts)
        tokenizing = min(tokenizing, perf_counter() - started)
        started = perf_counter()
        encoder.encode(texts)
        synchronize("cuda")
        encoding = min(encoding, perf_counter() - started)
    return tokenizing, encoding


def main() -> None:
    """Print one line for the machine and one for each encoder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reviews", type=Path, default=Path("data/raw/sample.csv"), help="CSV (default: %(default)s)")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        raise EncoderError("no CUDA GPU here; `python -m benchmarks` measures the CPU")
    texts = read_texts(args.reviews)
    rate = matmul_rate("cuda", torch.int8, SQUARE)
    print(describe("cuda"))  # noqa: T201 - the command's output
    with tempfile.TemporaryDirectory() as folder:
        for encoder in (BUNDLED, base_shape(Path(folder, "albert-base-shape"))):
            for length in (20, 128):
                started = perf_counter()
                loaded = load(encoder, length, "cuda", "int8")
                loading = perf_counter() - started
                tokenizing, total = seconds_of(loaded, texts)
                assert isinstance(loaded.model, ExactTransformer)
                work = encoder_flops([len(ids) for ids in loaded.tokenize(texts)], loaded.model.config)
                print(  # noqa: T201
                    f"{encoder.name}, {length} tokens, int8: {len(texts):,} reviews in {total:.2f} s, of which "
                    f"tokenizing {tokenizing:.2f} s; {len(texts) / total:,.0f} reviews/s; "
                    f"{work / (total - tokenizing) / rate:.3f} of {rate / 1e12:,.0f} Tops/s; loading {loading:.1f} s",
                    flush=True,
                )


if __name__ == "__main__":
    run_main(main)
