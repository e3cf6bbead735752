"""Name a device and measure the rate at which it multiplies matrices, the upper limit of every encoder on it."""

import platform
from pathlib import Path
from time import perf_counter

import torch

from sentiment.encoder.families import TransformerConfig


def describe(device: str) -> str:
    """Return processor, threads, torch and GPU in one line."""
    file = Path("/proc/cpuinfo")
    name = processor_name(file.read_text() if file.exists() else "", platform.processor() or platform.machine())
    gpu = f", {torch.cuda.get_device_name()}" if device == "cuda" else ""
    return f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}{gpu}"


def processor_name(cpuinfo: str, otherwise: str) -> str:
    """Return the first processor's name with its family and model: clouds give one name to several generations.

    Args:
        cpuinfo: text of /proc/cpuinfo.
        otherwise: returned where the text names no processor, as on ARM.
    """
    first, _, _ = cpuinfo.partition("\n\n")
    pairs = (line.partition(":") for line in first.splitlines())
    fields = {key.strip(): value.strip() for key, _, value in pairs}
    if not {"model name", "cpu family", "model"} <= fields.keys():
        return fields.get("model name", otherwise)
    return f"{fields['model name']} (family {fields['cpu family']}, model {fields['model']})"


SMALL = 256  # of a matrix whose product is timed first
SLOW = 5e9  # operations a second


def matmul_rate(device: str, dtype: torch.dtype, size: int = 2048, rounds: int = 2) -> float:
    """Return the best measured rate of a square matrix product, in operations a second; int8 sums are int32.

    The second operand is row-major and column-major in turn: for int8, cuBLAS is several times as fast with the latter.
    """
    if device == "cpu" and size > SMALL and (rate := matmul_rate(device, dtype, SMALL, rounds=1)) < SLOW:
        return rate  # a type that the processor has no instructions for: a large product takes minutes
    square = torch.randn(size, size, device=device).mul(16).clamp(-127, 127).to(dtype)
    multiply = torch._int_mm if dtype == torch.int8 else torch.mm
    best = float("inf")
    for _ in range(rounds + 1):
        for other in (square, square.t()):
            started = perf_counter()
            multiply(square, other)
            synchronize(device)
            best = min(best, perf_counter() - started)
    return 2 * size**3 / best


def synchronize(device: str) -> None:
    """Wait for the GPU, which answers before it has finished."""
    if device == "cuda":
        torch.cuda.synchronize()


def encoder_flops(lengths: list[int], config: TransformerConfig) -> float:
    """Return the multiplications and additions that an ALBERT needs for texts of these lengths, padding left out.

    By layer and token: 8 h² for query, key, value and output, 4 h i for the feed-forward, 4 h n for attention to n
    tokens; and once 2 e h from embedding to hidden size.
    """
    hidden, intermediate, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    by_token = 8 * hidden**2 + 4 * hidden * intermediate
    once = 2 * (config.embedding_size or 0) * hidden
    return float(sum(n * (layers * (by_token + 4 * hidden * n) + once) for n in lengths))
