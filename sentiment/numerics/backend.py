"""Chooses how a device multiplies 8-bit integers: natively where that is right and fast, else by float32 products.

    python -c "import torch; from sentiment.numerics.backend import backend; print(backend(torch.device('cpu')))"

Decided once by a worst-case test and by speed, never by the processor's name: without native int8, `torch._int_mm`
saturates on some processors and is silently wrong, and is slow on others. The result does not depend on the choice.
SENTIMENT_INT8=native, float32 or auto overrides the choice by speed; "native" is refused where the test fails.
"""

import os
from collections.abc import Callable
from functools import cache
from time import perf_counter
from typing import Literal

import torch
from torch import Tensor

from sentiment.common.errors import EncoderError
from sentiment.numerics.buffers import Buffers
from sentiment.numerics.products import ALL_ROWS, Product, float32_product, native8_product
from sentiment.numerics.threads import one_thread

Backend = Literal["native", "float32"]

VARIABLE = "SENTIMENT_INT8"
CHOICES = ("auto", "native", "float32")
ROWS = {"cpu": 256, "cuda": 32_768}  # of the product that is timed: a small one measures how a GPU starts, not its rate
MIN_TRIES, MAX_TRIES = 3, 12  # the least suffices where native products are slow beyond doubt


@cache
def backend(device: torch.device) -> Backend:
    """Return how this device multiplies 8-bit integers; the first call for a device takes some milliseconds.

    Raises:
        EncoderError: float products of integers are not exact on the device, or the environment variable
            SENTIMENT_INT8 is unknown or asks for a native product that is wrong here.
    """
    choice = os.environ.get(VARIABLE, "auto")
    if choice not in CHOICES:
        raise EncoderError(f"{VARIABLE} is '{choice}'; expected one of {', '.join(CHOICES)}")
    if device.type == "mps":
        raise EncoderError("precision int8 and int16 need exact float operations, which Apple's GPU does not promise")
    if not _is_exact(float32_product, device):
        raise EncoderError(f"float32 products of integers are not exact on {device}; unset what makes them imprecise")
    if choice == "float32":
        return "float32"
    exact = _is_exact(native8_product, device)
    if choice == "native" and not exact:
        raise EncoderError(f"{VARIABLE} is 'native', but this processor's int8 products are not exact")
    if exact and (choice == "native" or _native_is_faster(device)):
        return "native"
    return "float32"


def _is_exact(make: Callable[[Tensor], Product], device: torch.device) -> bool:
    """Compare a product with exact sums at the extremes: all signs alike, mixed, alternating, and -128 in x."""
    n_rows, n_inputs, n_outputs = 64, 1_024, 128
    generator = torch.Generator().manual_seed(0)
    signs = torch.randint(0, 2, (n_rows, n_inputs), generator=generator).mul(2).sub(1)
    x = signs * 127
    x[0], x[1], x[2, ::2], x[3] = 127, -127, 127, -128
    weight = torch.randint(0, 2, (n_outputs, n_inputs), generator=generator).mul(2).sub(1) * 127
    weight[0], weight[1], weight[2, ::2] = 127, -127, -127
    expected = (x.double() @ weight.double().t()).long()  # exact in any order: far below 2^53
    if make is float32_product:
        x, expected = x[4:], expected[4:]  # without -128, which a float product never gets
    try:
        product = make(weight.float().to(device))(x.float().to(device), Buffers(device))(ALL_ROWS)
    except RuntimeError:  # not implemented for this device
        return False
    return bool(torch.equal(product.cpu().long(), expected))


def _native_is_faster(device: torch.device) -> bool:
    """Time a product both ways in turn; the least times count, for what else a machine does only adds to them.

    On one thread, as batches are encoded: several wait for each other where other processes use the cores.
    """
    x, weight = torch.ones((ROWS[device.type], 512), device=device), torch.ones((256, 512), device=device)
    products: dict[Backend, Product] = {"native": native8_product(weight), "float32": float32_product(weight)}
    buffers, seconds = Buffers(device), dict.fromkeys(products, float("inf"))
    with one_thread():
        for n_tries in range(1, MAX_TRIES + 1):
            for name, product in products.items():
                started = perf_counter()
                product(x, buffers)(ALL_ROWS)[0, 0].item()  # waits for a GPU
                seconds[name] = min(seconds[name], perf_counter() - started)
            if n_tries >= MIN_TRIES and seconds["native"] > 4 * seconds["float32"]:
                break
    return seconds["native"] < seconds["float32"]
