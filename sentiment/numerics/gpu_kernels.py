"""Fuse the passes of an 8-bit forward pass on a GPU, by kernels of Triton that give the bytes of torch's operations.

    operand = normalized(x, norm, eps)          # float32 rows to integers of 8 bits
    y = linear(operand, weight, scales, bias)   # int8 products, and what follows them in the same pass

An int8 product into int32 is exact in any tiling. What follows it are IEEE operations, each rounded once: `launch` lets
no product and sum become a fused multiply-add, and quotients and roots are `div_rn` and `sqrt_rn`. A sum of floats
follows the tree of `quantization.row_sums`; a sum of integers, and a maximum, has one result in any order. A maximum of
sizes is taken over the bits of the floats as int32, so NaN stays NaN.

TRITON_INTERPRET=1 runs the kernels without a GPU, on arrays of NumPy.
"""

from collections.abc import Mapping
from math import sqrt
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from sentiment.numerics.functions import (
    EXP_ROOT,
    GELU_ERF,
    GELU_TANH,
    MAX_ERF,
    MAX_TANH,
    MIN_SCORE,
    Gelu,
)
from sentiment.numerics.memory import Buffers
from sentiment.numerics.quantization import LEVELS, MIN_MAX, RMS_PER_LEVELS, outlier_capacity

STRICT: Mapping[str, Any] = {"enable_fp_fusion": False}  # compiles what is written: a product, then a sum
ODD_PARTS = (1, 3)  # of the width of a row that is normalized: its sum is a tree of 2^n leaves, then of one or three

ROUND = tl.constexpr(1.5 * 2**23)  # added and subtracted again, it rounds to the nearest integer, half to even
SMALLEST = tl.constexpr(MIN_MAX)
SIZE_BITS = tl.constexpr(0x7FFFFFFF)  # all but the sign
NORM_SCALE = tl.constexpr(RMS_PER_LEVELS / LEVELS[8])
E0, E1, E2, E3, E4, E5 = map(tl.constexpr, GELU_ERF)
T0, T1, T2, T3, T4, T5 = map(tl.constexpr, GELU_TANH)
X0, X1, X2, X3 = map(tl.constexpr, EXP_ROOT)
ERF_END, TANH_END, SCORE_END = tl.constexpr(MAX_ERF), tl.constexpr(MAX_TANH), tl.constexpr(MIN_SCORE)
BELOW_PRODUCTS = tl.constexpr(-(2.0**30))  # products of queries and keys are within 2^24


class Operand(NamedTuple):
    """The input of a product: integers times scales are its values.

    Attributes:
        integers: in [-127, 127], int8, shape (n_rows, n_inputs).
        scales: float32, shape (n_rows,).
        outliers: what exceeds 127, int32, shape (n_rows, 1 + 2 * capacity): the number of outliers in the row, then for
            each its column and the rest; None where no integer does.
        high: of 12 bits, the upper part, int8, shape as `integers`: a value is 16 * high + integer; None for 8 bits.
    """

    integers: Tensor
    scales: Tensor
    outliers: Tensor | None = None
    high: Tensor | None = None


def fits(dim: int) -> bool:
    """Return whether rows of this width can be normalized."""
    return dim // (dim & -dim) in ODD_PARTS


@triton.jit
def rounded(x):
    """Return x rounded to the nearest integer, for sizes up to 2^22."""
    return (x + ROUND) - ROUND


@triton.jit
def size_bits(x):
    """Return the bits of the absolute values, which have their order."""
    return x.to(tl.int32, bitcast=True) & SIZE_BITS


@triton.jit
def at_least(bits, least):
    """Return the float32 of the bits of a size, or `least` where that is larger; NaN stays NaN."""
    size = bits.to(tl.float32, bitcast=True)
    return tl.where(size < least, least, size)


@triton.jit
def row_total(x, leaves: tl.constexpr, odd: tl.constexpr, wide: tl.constexpr):
    """Return the sum of a row of 2^leaves * odd numbers as `row_sums` adds them; x has shape (2^leaves, wide)."""
    for level in tl.static_range(leaves):
        x = tl.sum(tl.reshape(x, (2, 1 << (leaves - 1 - level), wide)), axis=0)  # of two: one addition
    x = tl.reshape(x, (wide,))
    if odd == 1:
        return tl.sum(x, axis=0)
    column = tl.arange(0, wide)
    first, middle, last = (
        tl.sum(tl.where(column == 0, x, 0.0), axis=0),
        tl.sum(tl.where(column == 1, x, 0.0), axis=0),
        tl.sum(tl.where(column == 2, x, 0.0), axis=0),
    )
    return (first + last) + middle


@triton.jit
def normalize_rows(
    x_rows, norm_weight, norm_bias, eps, integers, scales, outliers,
    leaves: tl.constexpr, odd: tl.constexpr, wide: tl.constexpr, capacity: tl.constexpr, has_norm: tl.constexpr,
):  # fmt: skip
    """Replace a row by its layer norm, and quantize it as `quantize_rows_by_norm` does."""
    dim: tl.constexpr = (1 << leaves) * odd
    row = tl.program_id(0).to(tl.int64)
    inner = tl.arange(0, wide)[None, :]
    columns = tl.arange(0, 1 << leaves)[:, None] * odd + inner  # (2^leaves, wide)
    inside = (columns >= 0) & (inner < odd)  # of that shape
    x = tl.load(x_rows + row * dim + columns, mask=inside, other=0.0)
    if has_norm:
        x = x - row_total(x, leaves, odd, wide) * (1.0 / dim)
        variance = row_total(x * x, leaves, odd, wide) * (1.0 / dim) + eps
        weight = tl.load(norm_weight + columns, mask=inside, other=0.0)
        bias = tl.load(norm_bias + columns, mask=inside, other=0.0)
        x = x * tl.div_rn(1.0, tl.sqrt_rn(variance)) * weight + bias
        tl.store(x_rows + row * dim + columns, x, mask=inside)
    square = row_total(x * x, leaves, odd, wide) * (1.0 / dim)
    scale = tl.sqrt_rn(at_least(size_bits(square), SMALLEST)) * NORM_SCALE
    tl.store(scales + row, scale)
    whole = rounded(x * tl.div_rn(1.0, scale))
    cut = tl.where(whole > 127.0, 127.0, tl.where(whole < -127.0, -127.0, whole))
    tl.store(integers + row * dim + columns, cut.to(tl.int8), mask=inside)
    is_outlier = inside & (tl.abs(whole) > 127.0)
    count = tl.reshape(is_outlier.to(tl.int32), ((1 << leaves) * wide,))
    index = tl.reshape(tl.cumsum(count, axis=0), (1 << leaves, wide)) - 1
    target = outliers + row * (1 + 2 * capacity)
    kept = is_outlier & (index < capacity)  # memory holds, whatever the numbers are
    tl.store(target, tl.minimum(tl.sum(count, axis=0), capacity))
    tl.store(target + 1 + 2 * index, columns, mask=kept)
    tl.store(target + 2 + 2 * index, (whole - cut).to(tl.int32), mask=kept)


@triton.jit
def gelu(x, is_erf: tl.constexpr):
    """Return what `functions.gelu_` computes."""
    a = tl.abs(x)
    positive = tl.where(x > 0.0, x, 0.0)
    if is_erf:
        a = tl.where(a > ERF_END, ERF_END, a)
        p = ((((a * E5 + E4) * a + E3) * a + E2) * a + E1) * a + E0
        p = p * p  # five times: the 32nd power
        p = p * p
        p = p * p
        p = p * p
        p = p * p
        return positive - a * p
    a = tl.where(a > TANH_END, TANH_END, a)
    p = ((((a * T5 + T4) * a + T3) * a + T2) * a + T1) * a + T0
    p = p * p  # four times: the 16th power
    p = p * p
    p = p * p
    p = p * p
    return positive - tl.div_rn(a * p, p + 1.0)


@triton.jit
def multiply(
    integers, high, row_scales, outliers, weight, column_scales, bias, residual, out, n_rows, n_inputs, n_outputs,
    capacity: tl.constexpr, has_high: tl.constexpr, has_residual: tl.constexpr, activation: tl.constexpr,
    tile_rows: tl.constexpr, tile_columns: tl.constexpr, tile_inputs: tl.constexpr,
):  # fmt: skip
    """Write a tile of a linear layer's output: exact sums, what exceeds 127, scales, bias, activation or a residual."""
    rows = (tl.program_id(0) * tile_rows + tl.arange(0, tile_rows)).to(tl.int64)
    columns = tl.program_id(1) * tile_columns + tl.arange(0, tile_columns)
    is_row, is_column = rows < n_rows, columns < n_outputs
    is_output = is_row[:, None] & is_column[None, :]
    by_output = columns[None, :].to(tl.int64) * n_inputs  # (1, tile_columns): where the weights of each output begin
    sums = tl.zeros((tile_rows, tile_columns), tl.int32)
    high_sums = tl.zeros((tile_rows, tile_columns), tl.int32)
    for first in range(0, n_inputs, tile_inputs):
        inputs = first + tl.arange(0, tile_inputs)
        is_input = inputs < n_inputs
        indices, is_inside = rows[:, None] * n_inputs + inputs[None, :], is_row[:, None] & is_input[None, :]
        part = tl.load(weight + by_output + inputs[:, None], mask=is_input[:, None] & is_column[None, :], other=0)
        sums = tl.dot(tl.load(integers + indices, mask=is_inside, other=0), part, sums, out_dtype=tl.int32)
        if has_high:
            high_sums = tl.dot(tl.load(high + indices, mask=is_inside, other=0), part, high_sums, out_dtype=tl.int32)
    if capacity > 0:
        of_row = outliers + rows * (1 + 2 * capacity)
        counts = tl.load(of_row, mask=is_row, other=0)
        for number in range(tl.max(counts, axis=0)):
            has = is_row & (number < counts)
            column = tl.load(of_row + 1 + 2 * number, mask=has, other=0)
            rest = tl.load(of_row + 2 + 2 * number, mask=has, other=0)
            part = tl.load(weight + by_output + column[:, None], mask=has[:, None] & is_column[None, :], other=0)
            sums += rest[:, None] * part.to(tl.int32)
    x = sums.to(tl.float32)
    if has_high:
        x = x + high_sums.to(tl.float32) * 16.0
    scale = tl.load(row_scales + rows, mask=is_row, other=0.0)[:, None]
    scale_of_column = tl.load(column_scales + columns, mask=is_column, other=0.0)[None, :]
    x = x * scale * scale_of_column + tl.load(bias + columns, mask=is_column, other=0.0)[None, :]
    if activation != "none":
        x = gelu(x, activation == "erf")
    targets = rows[:, None] * n_outputs + columns[None, :]
    if has_residual:
        x = x + tl.load(residual + targets, mask=is_output, other=0.0)
    tl.store(out + targets, x, mask=is_output)


@triton.jit
def write_quantized(x, row, columns, inside, integers, high, scales, dim, levels, has_high):
    """Write the integers and the scale of a row as `quantize_rows` makes them."""
    largest = at_least(tl.max(size_bits(x), axis=0), SMALLEST)
    whole = rounded(x * tl.div_rn(levels * 1.0, largest))
    if has_high:
        upper = rounded(whole * (1.0 / 16.0))
        tl.store(high + row * dim + columns, upper.to(tl.int8), mask=inside)
        whole = whole - upper * 16.0
    tl.store(integers + row * dim + columns, whole.to(tl.int8), mask=inside)
    tl.store(scales + row, largest * (1.0 / levels))


@triton.jit
def quantize_rows(
    x_rows, integers, high, scales, dim: tl.constexpr, block: tl.constexpr, levels: tl.constexpr, has_high: tl.constexpr
):  # fmt: skip
    """Quantize a row to 8 or 12 bits."""
    row, columns = tl.program_id(0).to(tl.int64), tl.arange(0, block)
    x = tl.load(x_rows + row * dim + columns, mask=columns < dim, other=0.0)
    write_quantized(x, row, columns, columns < dim, integers, high, scales, dim, levels, has_high)


@triton.jit
def quantize_heads(
    x_rows, starts, out, scales, n_texts, seq_len, level, value_level,
    n_heads: tl.constexpr, head_dim: tl.constexpr, wide: tl.constexpr, n_at_once: tl.constexpr,
):  # fmt: skip
    """Quantize the queries, the keys or the values of one head for one text; 0 for padding."""
    text, group = tl.program_id(0).to(tl.int64), tl.program_id(1)
    start = tl.load(starts + text)
    length = (tl.load(starts + text + 1) - start).to(tl.int32)
    inner = tl.arange(0, wide)[None, :]
    source = x_rows + start * (3 * n_heads * head_dim) + group * head_dim
    bits = tl.zeros((n_at_once, wide), tl.int32)
    for first in range(0, length, n_at_once):
        tokens = first + tl.arange(0, n_at_once)[:, None]
        inside = (tokens < length) & (inner < head_dim)
        x = tl.load(source + tokens * (3 * n_heads * head_dim) + inner, mask=inside, other=0.0)
        bits = tl.maximum(bits, size_bits(x))
    largest = at_least(tl.max(tl.max(bits, axis=1), axis=0), SMALLEST)
    limit = tl.where(group // n_heads == 2, value_level, level)
    factor = tl.div_rn(limit, largest)
    tl.store(scales + text * (3 * n_heads) + group, tl.div_rn(largest, limit))
    part, head = group // n_heads, group % n_heads
    target = out + ((part * n_texts + text) * n_heads + head) * seq_len * head_dim
    for first in range(0, seq_len, n_at_once):
        tokens = first + tl.arange(0, n_at_once)[:, None]
        inside = (tokens < length) & (inner < head_dim)
        x = tl.load(source + tokens * (3 * n_heads * head_dim) + inner, mask=inside, other=0.0)
        is_output = (tokens < seq_len) & (inner < head_dim)
        tl.store(target + tokens * head_dim + inner, rounded(x * factor), mask=is_output)


@triton.jit
def weigh_keys(
    products, starts, scales, seq_len, inverse_root, level, exp_level,
    n_heads: tl.constexpr, n_queries: tl.constexpr, n_keys: tl.constexpr,
):  # fmt: skip
    """Replace the products of some queries with all keys by their softmax as integers; 0 for padding."""
    matrix, first = tl.program_id(0).to(tl.int64), tl.program_id(1) * n_queries
    text, head = matrix // n_heads, matrix % n_heads
    length = (tl.load(starts + text + 1) - tl.load(starts + text)).to(tl.int32)
    of_text = scales + text * (3 * n_heads) + head
    scale = tl.load(of_text) * tl.load(of_text + n_heads) * inverse_root
    queries, keys = first + tl.arange(0, n_queries)[:, None], tl.arange(0, n_keys)[None, :]
    indices = (matrix * seq_len + queries) * seq_len + keys
    is_pair = (queries < length) & (keys < length)
    product = tl.load(products + indices, mask=is_pair, other=BELOW_PRODUCTS)
    top = tl.max(product, axis=1)[:, None] * scale
    x = product * scale - top
    x = tl.where(x < SCORE_END, SCORE_END, x)
    p = ((x * X3 + X2) * x + X1) * x + X0
    p = p * p  # four times: the 16th power
    p = p * p
    p = p * p
    p = p * p
    p = tl.where(is_pair, rounded(p * exp_level), 0.0)
    total = tl.sum(p, axis=1)[:, None]  # integers up to 2^24: exact in any order
    weights = rounded(p * tl.div_rn(level, tl.where(total > 0.0, total, 1.0)))
    tl.store(products + indices, weights, mask=(queries < length) & (keys < seq_len))


@triton.jit
def quantize_context(
    context, starts, scales, integers, row_scales, seq_len, inverse_level,
    n_heads: tl.constexpr, head_dim: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """Scale what the heads return for one token, put it side by side, and quantize it to 8 bits."""
    dim: tl.constexpr = n_heads * head_dim
    text, token = tl.program_id(0).to(tl.int64), tl.program_id(1)
    start = tl.load(starts + text)
    if token < tl.load(starts + text + 1) - start:
        columns = tl.arange(0, block)
        inside, head = columns < dim, columns // head_dim
        indices = ((text * n_heads + head) * seq_len + token) * head_dim + columns % head_dim
        scale = tl.load(scales + (text * 3 + 2) * n_heads + head, mask=inside, other=0.0) * inverse_level
        x = tl.load(context + indices, mask=inside, other=0.0) * scale
        write_quantized(x, start + token, columns, inside, integers, integers, row_scales, dim, 127, False)


def launch(kernel: Any, grid: tuple[int, ...], *args: Any, **settings: Any) -> None:
    """Run a kernel for each place of a grid, without fused multiply-adds."""
    kernel[grid](*args, **settings, **STRICT)


def normalized(x: Tensor, norm: tuple[Tensor, Tensor] | None, eps: float, buffers: Buffers) -> Operand:
    """Replace rows by their layer norm, if there is one, and return them quantized by their norm.

    Args:
        x: float32, shape (n_rows, dim), `fits(dim)`; changed.
        norm: weight and bias, each of shape (dim,); None to quantize alone.
        buffers: hold the operand until the next call for rows of this width.
    """
    n_rows, dim = x.shape
    capacity, odd = outlier_capacity(dim), dim // (dim & -dim)
    operand = Operand(
        buffers.get(f"operand_{dim}", (n_rows, dim), torch.int8),
        buffers.get(f"scales_{dim}", (n_rows,)),
        buffers.get(f"outliers_{dim}", (n_rows, 1 + 2 * capacity), torch.int32),
    )
    weight, bias = norm if norm is not None else (x, x)
    launch(
        normalize_rows, (n_rows,),
        x, weight, bias, eps, *operand[:3], leaves=(dim & -dim).bit_length() - 1, odd=odd, wide=1 if odd == 1 else 4,
        capacity=capacity, has_norm=norm is not None, num_warps=warps(dim)
    )  # fmt: skip
    return operand


def linear(
    operand: Operand,
    weight: Tensor,
    scales: Tensor,
    bias: Tensor,
    out: Tensor,
    *,
    gelu: Gelu | None = None,
    residual: Tensor | None = None,
) -> Tensor:
    """Write operand times weight plus bias, then its activation, or its sum with a residual, in `out`, and return it.

    Args:
        weight: int8, shape (n_outputs, n_inputs).
        scales, bias: float32, shape (n_outputs,).
        out: float32, shape (n_rows, n_outputs).
        residual: of the shape of `out`.
    """
    (n_rows, n_inputs), n_outputs = operand.integers.shape, len(weight)
    tile = 64 if n_rows <= 4_096 else 128  # small products need many programs, large ones few loads
    outliers = operand.outliers
    launch(
        multiply, (triton.cdiv(n_rows, tile), triton.cdiv(n_outputs, tile)),
        operand.integers, operand.integers if operand.high is None else operand.high, operand.scales,
        operand.scales if outliers is None else outliers, weight, scales, bias, out if residual is None else residual,
        out, n_rows, n_inputs, n_outputs, capacity=0 if outliers is None else outliers.shape[1] // 2,
        has_high=operand.high is not None, has_residual=residual is not None, activation=gelu or "none",
        tile_rows=tile, tile_columns=tile, tile_inputs=64, num_warps=tile // 16
    )  # fmt: skip
    return out


def quantized(x: Tensor, bits: int, buffers: Buffers) -> Operand:
    """Return rows of shape (n_rows, dim) as integers of 8 or 12 bits."""
    n_rows, dim = x.shape
    integers, scales = buffers.get("operand", (n_rows, dim), torch.int8), buffers.get("scales", (n_rows,))
    high = buffers.get("operand_high", (n_rows, dim), torch.int8) if bits == 12 else None
    launch(
        quantize_rows, (n_rows,),
        x, integers, integers if high is None else high, scales, dim=dim, block=triton.next_power_of_2(dim),
        levels=int(LEVELS[bits]), has_high=high is not None, num_warps=warps(dim)
    )  # fmt: skip
    return Operand(integers, scales, None, high)


def attended(
    query_key_value: Tensor,
    starts: Tensor,
    seq_len: int,
    n_heads: int,
    levels: tuple[int, int, int],
    exp_level: int,
    buffers: Buffers,
) -> Operand:
    """Return the output of the attention heads, quantized; see `encoder.exact.attention`.

    Args:
        query_key_value: float32, shape (n_rows, 3 * hidden_size): the tokens of all texts, one after the other.
        starts: the first row of each text, and the end of the last one, int64, shape (n_texts + 1,).
        seq_len: of the longest text.
        levels: of `encoder.exact.attention_levels`.
        exp_level: the integer that stands for exp(0).
    """
    n_rows, width = len(query_key_value), query_key_value.shape[1] // 3
    n_texts, head_dim = len(starts) - 1, width // n_heads
    level, weight_level, value_level = levels
    scales = buffers.get("head_scales", (n_texts, 3, n_heads))
    heads = buffers.get("heads", (3, n_texts * n_heads, seq_len, head_dim))
    launch(
        quantize_heads, (n_texts, 3 * n_heads),
        query_key_value, starts, heads, scales, n_texts, seq_len, float(level), float(value_level),
        n_heads=n_heads, head_dim=head_dim, wide=triton.next_power_of_2(head_dim), n_at_once=32
    )  # fmt: skip
    query, key, value = heads.unbind(0)
    products = buffers.get("products", (n_texts * n_heads, seq_len, seq_len))
    torch.bmm(query, key.transpose(1, 2), out=products)
    launch(
        weigh_keys, (n_texts * n_heads, triton.cdiv(seq_len, 8)),
        products, starts, scales, seq_len, 1 / sqrt(head_dim), float(weight_level), float(exp_level),
        n_heads=n_heads, n_queries=8, n_keys=triton.next_power_of_2(seq_len)
    )  # fmt: skip
    context = torch.bmm(products, value, out=buffers.get("context", (n_texts * n_heads, seq_len, head_dim)))
    operand = Operand(buffers.get("operand", (n_rows, width), torch.int8), buffers.get("scales", (n_rows,)))
    for part in operand[:2]:
        part.zero_()  # rows that belong to no text
    launch(
        quantize_context, (n_texts, seq_len),
        context, starts, scales, *operand[:2], seq_len, 1 / weight_level, n_heads=n_heads, head_dim=head_dim,
        block=triton.next_power_of_2(width), num_warps=warps(width)
    )  # fmt: skip
    return operand


def warps(dim: int) -> int:
    """Return how many warps share a row, a power of two."""
    return 1 << min(3, (dim // 256).bit_length())
