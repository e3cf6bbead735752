"""Exact matrix products of integers: by native int8 instructions where they are right and fast, else by float products.

A sum of integers does not depend on its order, so the result has the same bits on every processor, as long as no
intermediate value is rounded. `torch._int_mm` adds int8 products as int32. A float32 product adds integers exactly
while every partial sum stays within 2^24, which holds for 1,024 products of 8-bit integers; longer sums are made in
pieces and added as int32. 16-bit integers are split into two bytes, x = 256 * high + low, so that one product becomes
four of int8; or they are multiplied in float64, exact within 2^53. Both ways give the same integers.

Which way a device takes is chosen once, by a worst-case test and by speed: without native int8, `torch._int_mm`
saturates on some processors and is silently wrong, and is slow on others. SENTIMENT_INT8=native, float32 or auto
overrides the choice by speed; "native" is refused where the test fails.
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

Backend = Literal["native", "float32"]
Product = Callable[[Tensor, Buffers], Tensor]  # integers in float32 (n_rows, n_inputs) to (n_rows, n_outputs)

VARIABLE = "SENTIMENT_INT8"
CHOICES = ("auto", "native", "float32")
MAX_INPUTS = 1_024  # 1,024 * 127 * 127 < 2^24
# what CUDA asks of an int8 product: inputs and outputs divisible by 8, and at least 17 rows (the encoder's are 64)
MULTIPLE, MIN_ROWS = 8, 17


def integer_product(weight: Tensor, bits: int) -> Product:
    """Return the product with a weight; it takes x of shape (n_rows, n_inputs), at least 17 rows on CUDA.

    The result, exact integers of shape (n_rows, n_outputs), stands in a buffer until the next product: for 8 bits as
    float32, rounded once where it exceeds 2^24; for 16 bits as float64, exact.

    Args:
        weight: integers in float32, shape (n_outputs, n_inputs).
        bits: 8, values in [-127, 127]; or 16, values in [-32639, 32639]. x has the same range.
    """
    native = backend(weight.device) == "native" and all(size % MULTIPLE == 0 for size in weight.shape)
    if bits == 8:
        return _native8(weight) if native else _float32(weight)
    return _native16(weight) if native else _float64(weight)


def _native8(weight: Tensor) -> Product:
    columns = weight.to(torch.int8).t()

    def product(x: Tensor, buffers: Buffers) -> Tensor:
        shape = (len(x), columns.shape[1])
        operand = buffers.get("operand", tuple(x.shape), torch.int8).copy_(x)
        sums = torch._int_mm(operand, columns, out=buffers.get("sums", shape, torch.int32))
        return buffers.get("product", shape).copy_(sums)

    return product


def _float32(weight: Tensor) -> Product:
    starts = range(0, weight.shape[1], MAX_INPUTS)
    pieces = [weight[:, start : start + MAX_INPUTS].t() for start in starts]

    def product(x: Tensor, buffers: Buffers) -> Tensor:
        shape = (len(x), len(weight))
        out = buffers.get("product", shape)
        if len(pieces) == 1:
            return torch.mm(x, pieces[0], out=out)
        sums = buffers.get("sums", shape, torch.int32).zero_()
        summand = buffers.get("summand", shape, torch.int32)
        for start, piece in zip(starts, pieces, strict=True):
            sums.add_(summand.copy_(torch.mm(x[:, start : start + MAX_INPUTS], piece, out=out)))
        return out.copy_(sums)

    return product


def _native16(weight: Tensor) -> Product:
    high, low = (byte.to(torch.int8).t() for byte in split_bytes(weight, Buffers(weight.device)))

    def product(x: Tensor, buffers: Buffers) -> Tensor:
        shape = (len(x), high.shape[1])
        x_high, x_low = (
            buffers.get(f"operand_{name}", tuple(x.shape), torch.int8).copy_(byte)
            for name, byte in zip(("high", "low"), split_bytes(x, buffers), strict=True)
        )
        sums, cross = buffers.get("sums", shape, torch.int32), buffers.get("cross", shape, torch.int32)
        out, term = buffers.get("product", shape, torch.float64), buffers.get("term", shape, torch.float64)
        out.copy_(torch._int_mm(x_high, high, out=sums)).mul_(256.0)
        torch._int_mm(x_high, low, out=cross).add_(torch._int_mm(x_low, high, out=sums))
        out.add_(term.copy_(cross)).mul_(256.0)
        return out.add_(term.copy_(torch._int_mm(x_low, low, out=sums)))

    return product


def _float64(weight: Tensor) -> Product:
    columns = weight.double().t()

    def product(x: Tensor, buffers: Buffers) -> Tensor:
        operand = buffers.get("operand", tuple(x.shape), torch.float64).copy_(x)
        return torch.mm(operand, columns, out=buffers.get("product", (len(x), columns.shape[1]), torch.float64))

    return product


def split_bytes(x: Tensor, buffers: Buffers) -> tuple[Tensor, Tensor]:
    """Return high and low, integers in float32 with x = 256 * high + low, both within [-128, 127]."""
    shape = tuple(x.shape)
    high, low = buffers.get("byte_high", shape), buffers.get("byte_low", shape)
    torch.mul(x, 1 / 256, out=high).add_(0.5).floor_()
    torch.sub(x, torch.mul(high, 256.0, out=low), out=low)
    return high, low


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
    if not _is_exact(_float32, device):
        raise EncoderError(f"float32 products of integers are not exact on {device}; unset what makes them imprecise")
    if choice == "float32":
        return "float32"
    exact = _is_exact(_native8, device)
    if choice == "native" and not exact:
        raise EncoderError(f"{VARIABLE} is 'native', but this processor's int8 products are not exact")
    if exact and (choice == "native" or _seconds(_native8, device) < _seconds(_float32, device)):
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
    if make is _float32:
        x, expected = x[4:], expected[4:]  # without -128, which a float product never gets
    try:
        product = make(weight.float().to(device))(x.float().to(device), Buffers(device))
    except RuntimeError:  # not implemented for this device
        return False
    return bool(torch.equal(product.cpu().long(), expected))


def _seconds(make: Callable[[Tensor], Product], device: torch.device) -> float:
    """Return the least time of a product in three tries."""
    buffers = Buffers(device)
    x, product = torch.ones((256, 512), device=device), make(torch.ones((256, 512), device=device))
    best = float("inf")
    for _ in range(4):
        started = perf_counter()
        product(x, buffers)[0, 0].item()  # waits for a GPU
        best = min(best, perf_counter() - started)
    return best
