"""Multiply matrices of integers exactly, by int8 instructions or by floats: the same integers either way.

    product = integer_product(weight, bits=8)
    sums = product(x, buffers)(ALL_ROWS)

`torch._int_mm` adds int8 products as int32. A float32 product adds integers exactly while every partial sum stays
within 2^24, which holds for 1,040 products of 8-bit integers, and for some thousand where most weights are small;
longer sums are made in pieces and added as int32. 16-bit integers are split into two bytes, x = 256 * high + low, so
that one product becomes four of int8; or they are multiplied in float64, exact within 2^53. A sum of integers does not
depend on its order.

Which way a device takes is decided once, by a worst-case test and by speed, never by the processor's name: without
native int8, `torch._int_mm` saturates on some processors and is silently wrong, and is slow on others.
SENTIMENT_INT8=native, multiply-add, float32 or auto overrides the choice by speed; "native" is refused where the test
fails. Multiply-adds are a third way, for compiled kernels alone (`numerics.multiply_add`); elsewhere it is float32.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from time import perf_counter
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from sentiment.common.errors import EncoderError
from sentiment.numerics.memory import Buffers, one_thread, row_blocks
from sentiment.numerics.quantization import integer_sums, largest_sizes

# Returns some rows of the sums as floats, shape (n, n_outputs), in memory that the caller may change: once for each
# row, until the next product.
Sums = Callable[[slice], Tensor]

# from integers in float32 (n_rows, n_inputs) to sums (n_rows, n_outputs), for a weight of shape (n_outputs, n_inputs)
Product = Callable[[Tensor, Buffers], Sums]

ALL_ROWS = slice(None)
MAX_INPUTS = 2**24 // 127**2  # whatever the weights are
MAX_WEIGHT_SUM = 2**24 // 127  # of absolute weights: their products with 8-bit integers add up exactly in float32
MULTIPLE = 8  # what CUDA asks of the inputs and outputs of an int8 product; and of 17 rows, the encoder's are 64

Backend = Literal["native", "float32"]

VARIABLE = "SENTIMENT_INT8"
CHOICES = ("auto", "native", "multiply-add", "float32")
ROWS = {"cpu": 256, "cuda": 32_768}  # of the product that is timed: a small one measures how a GPU starts, not its rate
MIN_TRIES, MAX_TRIES = 3, 12  # the least suffices where native products are slow beyond doubt


def native8_product(weight: Tensor) -> Product:
    """Return the product by int8 products: the sums as float32, rounded once where they exceed 2^24."""
    columns = weight.to(torch.int8).t()

    def product(x: Tensor, buffers: Buffers) -> Sums:
        operand = buffers.get("operand", tuple(x.shape), torch.int8).copy_(x)
        return int8_product(operand, columns, buffers)

    return product


def float32_product(weight: Tensor) -> Product:
    """Return the product by float32 products: the same values as `native8_product`."""
    columns, pieces = weight.t(), exact_pieces(weight)

    def product(x: Tensor, buffers: Buffers) -> Sums:
        shape = (len(x), len(weight))
        if len(pieces) == 1:
            return torch.mm(x, columns, out=buffers.get("product", shape)).__getitem__
        sums = buffers.get("sums", shape, torch.int32)
        add_pieces(x, columns, pieces, sums, buffers)
        return partial(float32_rows, sums, buffers)

    return product


def exact_pieces(weight: Tensor) -> list[slice]:
    """Return slices of inputs over which a float32 product of 8-bit integers rounds no partial sum, in any order.

    Args:
        weight: integers in [-127, 127] in float32, shape (n_outputs, n_inputs).
    """
    n_inputs = weight.shape[1]
    if float(integer_sums(weight.abs()).amax()) <= MAX_WEIGHT_SUM:
        return [slice(0, n_inputs)]
    return [slice(start, min(start + MAX_INPUTS, n_inputs)) for start in range(0, n_inputs, MAX_INPUTS)]


def add_pieces(x: Tensor, columns: Tensor, pieces: Sequence[slice], out: Tensor, buffers: Buffers) -> None:
    """Write x (n_rows, n_inputs) times columns (n_inputs, n_outputs) in `out`, int32, one slice after another."""
    piece, summand = (buffers.get("piece", tuple(out.shape), dtype) for dtype in (torch.float32, torch.int32))
    out.zero_()
    for inputs in pieces:
        out.add_(summand.copy_(torch.mm(x[:, inputs], columns[inputs], out=piece)))


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
    """Return the product by a float64 product: the same values as `native16_product`."""
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
    if choice in ("multiply-add", "float32"):
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
    """Time a product both ways."""
    x, weight, buffers = (
        torch.ones((ROWS[device.type], 512), device=device),
        torch.ones((256, 512), device=device),
        Buffers(device),
    )
    products, buffers = {"native": native8_product(weight), "float32": float32_product(weight)}, Buffers(device)

    def wait_for(product: Product) -> None:
        product(x, buffers)(ALL_ROWS)[0, 0].item()  # waits for a GPU

    return fastest({name: partial(wait_for, product) for name, product in products.items()}) == "native"


def fastest(ways: Mapping[str, Callable[[], object]]) -> str:
    """Time two ways in turn; the least times count, for what else a machine does only adds to them.

    On one thread, as batches are encoded: several wait for each other where other processes use the cores. The fewest
    tries are enough where the first way is slow beyond doubt.
    """
    seconds = dict.fromkeys(ways, float("inf"))
    first, second = ways
    with one_thread():
        for n_tries in range(1, MAX_TRIES + 1):
            for name, way in ways.items():
                started = perf_counter()
                way()
                seconds[name] = min(seconds[name], perf_counter() - started)
            if n_tries >= MIN_TRIES and seconds[first] > 4 * seconds[second]:
                break
    return first if seconds[first] < seconds[second] else second


def integer_product(weight: Tensor, bits: int) -> Product:
    """Return the product with a weight; it takes x of shape (n_rows, n_inputs), at least 17 rows on CUDA.

    The result, exact integers of shape (n_rows, n_outputs), is there until the next product: for 8 bits as float32,
    rounded once where it exceeds 2^24; for 16 bits as float64, exact.

    Args:
        weight: integers in float32, shape (n_outputs, n_inputs).
        bits: 8, values in [-127, 127]; or 16, values in [-32639, 32639]. x has the same range.
    """
    native = backend(weight.device) == "native" and all(size % MULTIPLE == 0 for size in weight.shape)
    if bits == 8:
        return native8_product(weight) if native else float32_product(weight)
    return native16_product(weight) if native else float64_product(weight)


def outlier_product(weight: Tensor) -> Product:
    """Return the product of 8-bit weights with integers that may exceed 127, as `quantize_rows_by_norm` makes them.

    The sums stay within 2^24 by the norm of the rows, so a float32 product is exact. Natively, the few columns that
    exceed 127 are split: x = 127 + rest, the rest multiplied with the same weights in columns of its own.
    """
    if backend(weight.device) == "float32" or any(size % MULTIPLE for size in weight.shape):
        columns = weight.t()

        def by_floats(x: Tensor, buffers: Buffers) -> Sums:
            return torch.mm(x, columns, out=buffers.get("product", (len(x), len(weight)))).__getitem__

        return by_floats
    by_input = weight.to(torch.int8).t().contiguous()  # (n_inputs, n_outputs)
    n_inputs, n_outputs = by_input.shape
    by_columns = weight.device.type == "cuda"  # cuBLAS reads the weights of an int8 product column by column

    def native(x: Tensor, buffers: Buffers) -> Sums:
        largest = largest_sizes(x, 0)
        n_rests = max(0, int(largest.amax().item()) - 1) // 127
        outliers = [(largest > 127 * (n + 1)).nonzero().squeeze(1) for n in range(n_rests)]
        n_extra = sum(map(len, outliers))
        width = n_inputs + -(-n_extra // MULTIPLE) * MULTIPLE
        shape = (n_outputs, width) if by_columns else (width, n_outputs)
        weights = buffers.get("weights", shape, torch.int8)
        if by_columns:
            weights = weights.t()
        operand = buffers.get("operand", (len(x), width), torch.int8)
        weights[:n_inputs].copy_(by_input)
        start = n_inputs
        for n, columns in enumerate(outliers):  # the part of an integer between 127 * (n + 1) and 127 * (n + 2)
            rest = torch.index_select(x, 1, columns)
            rest.sub_(rest.clamp(-127 * (n + 1), 127 * (n + 1))).clamp_(-127, 127)
            end = start + len(columns)
            operand[:, start:end].copy_(rest)
            weights[start:end].copy_(torch.index_select(by_input, 0, columns))
            start = end
        operand[:, :n_inputs].copy_(x.clamp_(-127, 127))
        weights[start:].zero_()
        operand[:, start:].zero_()
        return int8_product(operand, weights, buffers)

    return native


class OperandProduct(NamedTuple):
    """The product of an 8-bit weight with an operand that a kernel has made.

    Attributes:
        operand_type: int8 for integers in [-127, 127]; float32 or int16 for integers of any size that the sums allow.
        sums_type: int32 or float32, either with the exact sums.
        multiply: takes an operand (n_rows, n_inputs), where to write the sums (n_rows, n_outputs), and buffers.
        columns: the weight, shape (n_inputs, n_outputs), int8 where the operand is, else float32.
    """

    operand_type: torch.dtype
    sums_type: torch.dtype
    multiply: Callable[[Tensor, Tensor, Buffers], object]
    columns: Tensor


def operand_product(weight: Tensor, has_outliers: bool) -> OperandProduct:
    """Return the product of a kernel's operand with a weight on the CPU.

    Args:
        weight: integers in [-127, 127] in float32, shape (n_outputs, n_inputs).
        has_outliers: whether the integers of a row may exceed 127, as those of `quantize_rows_by_norm` do: a float32
            operand then holds them, and for an int8 one the kernel adds what exceeds 127, by `columns`.
    """
    columns = weight.t()
    if backend(weight.device) == "native" and all(size % MULTIPLE == 0 for size in columns.shape):
        columns = columns.to(torch.int8).contiguous()
        return OperandProduct(
            torch.int8, torch.int32, lambda operand, out, _: torch._int_mm(operand, columns, out=out), columns
        )
    if has_outliers or len(pieces := exact_pieces(weight)) == 1:
        return OperandProduct(
            torch.float32, torch.float32, lambda operand, out, _: torch.mm(operand, columns, out=out), columns
        )
    return OperandProduct(
        torch.float32,
        torch.int32,
        lambda operand, out, buffers: add_pieces(operand, columns, pieces, out, buffers),
        columns,
    )


def product_of_12_bits(weight: Tensor) -> Product:
    """Return the product of 8-bit weights with integers of up to 2,032, as two products: x = 16 * high + low."""
    product = integer_product(weight, 8)

    def both(x: Tensor, buffers: Buffers) -> Sums:
        high = torch.mul(x, 1 / 16, out=buffers.get("high", tuple(x.shape))).round_()
        coarse = torch.mul(product(high, buffers)(ALL_ROWS), 16.0, out=buffers.get("summand", (len(x), len(weight))))
        fine = product(x.sub_(high.mul_(16.0)), buffers)
        return lambda rows: fine(rows).add_(coarse[rows])

    return both
