"""Products of integers by int8 instructions or by floats: the same integers either way, as long as no sum is rounded.

`torch._int_mm` adds int8 products as int32. A float32 product adds integers exactly while every partial sum stays
within 2^24, which holds for 1,024 products of 8-bit integers; longer sums are made in pieces and added as int32. 16-bit
integers are split into two bytes, x = 256 * high + low, so that one product becomes four of int8; or they are
multiplied in float64, exact within 2^53. A sum of integers does not depend on its order.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from sentiment.numerics.blocks import row_blocks
from sentiment.numerics.buffers import Buffers

# Returns some rows of the sums as floats, shape (n, n_outputs), in memory that the caller may change: once for each
# row, until the next product.
Sums = Callable[[slice], Tensor]

# from integers in float32 (n_rows, n_inputs) to sums (n_rows, n_outputs), for a weight of shape (n_outputs, n_inputs)
Product = Callable[[Tensor, Buffers], Sums]

ALL_ROWS = slice(None)
MAX_INPUTS = 1_024  # 1,024 * 127 * 127 < 2^24


def native8_product(weight: Tensor) -> Product:
    """Return the product by int8 products: the sums as float32, rounded once where they exceed 2^24."""
    columns = weight.to(torch.int8).t()

    def product(x: Tensor, buffers: Buffers) -> Sums:
        operand = buffers.get("operand", tuple(x.shape), torch.int8).copy_(x)
        return int8_product(operand, columns, buffers)

    return product


def float32_product(weight: Tensor) -> Product:
    """Return the product by float32 products: the same values as those of `native8_product`."""
    starts = range(0, weight.shape[1], MAX_INPUTS)
    pieces = [weight[:, start : start + MAX_INPUTS].t() for start in starts]

    def product(x: Tensor, buffers: Buffers) -> Sums:
        shape = (len(x), len(weight))
        out = buffers.get("product", shape)
        if len(pieces) == 1:
            return torch.mm(x, pieces[0], out=out).__getitem__
        sums = buffers.get("sums", shape, torch.int32).zero_()
        summand = buffers.get("piece", shape, torch.int32)
        for start, piece in zip(starts, pieces, strict=True):
            sums.add_(summand.copy_(torch.mm(x[:, start : start + MAX_INPUTS], piece, out=out)))
        return partial(float32_rows, sums, buffers)

    return product


def native16_product(weight: Tensor) -> Product:
    """Return the product by int8 products: the exact sums as float64.

    x * weight = 65536 * high * high + 256 * (high * low + low * high) + low * low. The two in the middle are one
    product with twice as many inputs.
    """
    high, low = torch.empty((2, *weight.shape), dtype=torch.int8, device=weight.device)
    split_bytes(weight, high, low, Buffers(weight.device))
    crossed = torch.cat([low, high], dim=1).t()  # (2 * n_inputs, n_outputs)
    high, low = high.t(), low.t()
    n_inputs, n_outputs = high.shape

    def product(x: Tensor, buffers: Buffers) -> Sums:
        operand = buffers.get("operand", (len(x), 2 * n_inputs), torch.int8)
        x_high, x_low = operand[:, :n_inputs], operand[:, n_inputs:]
        for block in row_blocks(x):
            split_bytes(x[block], x_high[block], x_low[block], buffers)
        shape = (len(x), n_outputs)
        of_high, cross, of_low = (buffers.get(f"sums_{name}", shape, torch.int32) for name in ("high", "cross", "low"))
        torch._int_mm(operand, crossed, out=cross)
        torch._int_mm(x_high, high, out=of_high)
        torch._int_mm(x_low, low, out=of_low)

        def rows(block: slice) -> Tensor:
            highest = of_high[block]
            out, term = (buffers.get(name, tuple(highest.shape), torch.float64) for name in ("block", "term"))
            out.copy_(highest).mul_(256.0).add_(term.copy_(cross[block])).mul_(256.0)
            return out.add_(term.copy_(of_low[block]))

        return rows

    return product


def float64_product(weight: Tensor) -> Product:
    """Return the product by a float64 product: the same values as those of `native16_product`."""
    columns = weight.double().t()

    def product(x: Tensor, buffers: Buffers) -> Sums:
        operand = buffers.get("operand", tuple(x.shape), torch.float64).copy_(x)
        out = buffers.get("product", (len(x), columns.shape[1]), torch.float64)
        return torch.mm(operand, columns, out=out).__getitem__

    return product


def int8_product(operand: Tensor, columns: Tensor, buffers: Buffers) -> Sums:
    """Return operand, int8 of shape (n_rows, n_inputs), times columns, int8 of shape (n_inputs, n_outputs)."""
    sums = buffers.get("sums", (len(operand), columns.shape[1]), torch.int32)
    return partial(float32_rows, torch._int_mm(operand, columns, out=sums), buffers)


def float32_rows(sums: Tensor, buffers: Buffers, block: slice) -> Tensor:
    """Return some rows of int32 sums as float32, rounded once where they exceed 2^24."""
    rows = sums[block]
    return buffers.get("block", tuple(rows.shape)).copy_(rows)


def split_bytes(x: Tensor, high: Tensor, low: Tensor, buffers: Buffers) -> None:
    """Write x = 256 * high + low, both within [-128, 127].

    Args:
        x: integers in [-32639, 32639] as float32, shape (n_rows, dim); unchanged.
        high, low: int8, shape (n_rows, dim).
    """
    whole, rounded = (buffers.get(name, tuple(x.shape), torch.int16) for name in ("int16", "int16_rounded"))
    torch.add(whole.copy_(x), 128, out=rounded).bitwise_right_shift_(8)
    high.copy_(rounded)
    low.copy_(whole.sub_(rounded.mul_(256)))
