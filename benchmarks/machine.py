"""Name a device and measure the rate at which it multiplies matrices, the upper limit of every encoder on it."""

import platform
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter

import torch

from sentiment.encoder.families import TransformerConfig
from sentiment.numerics.memory import Buffers
from sentiment.numerics.multiply_add import multiply_add_product

CPU = torch.device("cpu")
SMALL = 512  # rows and columns of a small product


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


def matmul_rate(device: str, dtype: torch.dtype, size: int = 2048, rounds: int = 2) -> float:
    """Return the best measured rate of a square matrix product, in operations a second; int8 sums are int32.

    The second operand is row-major and column-major in turn: for int8, cuBLAS is several times as fast with the latter.
    On a CPU it is what a small product is faster with: the other one takes a minute where instructions are missing.
    For int16 it is that of multiply-adds on one thread, times the threads, each of which encodes a batch of its own.
    """
    square = torch.randn(size, size, device=device).mul(16).clamp(-127, 127).to(dtype)
    if dtype == torch.int16:
        product, sums = multiply_add_product(square), torch.empty(square.shape, dtype=torch.int32)
        seconds = _least_seconds(lambda: product.multiply(square, sums, Buffers(CPU)), device, rounds + 1)
        return torch.get_num_threads() * 2 * size**3 / seconds
    multiply = torch._int_mm if dtype == torch.int8 else torch.mm
    others = [square, square.t()]
    if device == "cpu":
        small = square[:SMALL, :SMALL].contiguous()
        by_layout = [_least_seconds(partial(multiply, small, other), device, 3) for other in (small, small.t())]
        others = [others[by_layout.index(min(by_layout))]]
    return 2 * size**3 / min(_least_seconds(partial(multiply, square, other), device, rounds + 1) for other in others)


def _least_seconds(work: Callable[[], object], device: str, n_times: int) -> float:
    seconds = []
    for _ in range(n_times):
        started = perf_counter()
        work()
        synchronize(device)
        seconds.append(perf_counter() - started)
    return min(seconds)


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
