"""Fuse the elementwise passes of an 8-bit forward pass into compiled loops over rows.

The torch operations of `numerics.functions` and `numerics.quantization` each read and write all activations. A kernel
here does what several of them do while a row is in the processor's first cache, and gives the same bytes: the same IEEE
operations in the same order, none of them contracted (`numerics.compiling`).

What lets LLVM use vector instructions in strict mode: a maximum of absolute values is taken over the bits of the
floats as int32, conditional expressions take the place of `min` and `max`, integers are summed as int32, and adding and
subtracting 1.5 * 2^23 rounds to the nearest integer, half to even, for absolute values up to 2^22.

Names: `sums` are the integers that a product of `numerics.products` returns, int32 or float32. Times `row_scales`, of
the quantized input, and `column_scales`, of the quantized weight, they are the output of a linear layer without bias.
An `operand` is the input of the next product: integers, int8, int16 or float32, whose scales are `scales`. `outliers`
(n_rows, 1 + 2 * capacity), int32, are those beyond +-127, which int8 cannot hold: the number of them in the row, then
for each of them its column and what exceeds 127.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentiment.numerics import compiling, functions, quantization
from sentiment.numerics.compiling import helper
from sentiment.numerics.functions import (
    EXP_ROOT,
    GELU_ERF,
    GELU_TANH,
    MAX_ERF,
    MAX_TANH,
    MIN_SCORE,
)
from sentiment.numerics.quantization import LEVELS, MIN_MAX, RMS_PER_LEVELS

Float32s = NDArray[np.float32]
Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]
Sums = NDArray[Any]  # int32 or float32
Operand = NDArray[Any]  # int8, int16 or float32

kernel = compiling.kernel(__file__, str(functions.__file__), str(quantization.__file__))

# in compiled code, an operation of a float32 and a Python number is one of float64
f4 = np.float32
i4 = np.int32
ROWS = 8  # that are normalized and quantized together
ZERO, ONE = f4(0), f4(1)
ROUND = f4(1.5 * 2**23)
MAX_INT8 = f4(127)
SIZE_BITS = i4(0x7FFFFFFF)  # all but the sign
SMALLEST = f4(MIN_MAX)
NORM_SCALE = f4(RMS_PER_LEVELS / LEVELS[8])
E0, E1, E2, E3, E4, E5 = (f4(c) for c in GELU_ERF)
T0, T1, T2, T3, T4, T5 = (f4(c) for c in GELU_TANH)
X0, X1, X2, X3 = (f4(c) for c in EXP_ROOT)
ERF_END, TANH_END, SCORE_END = f4(MAX_ERF), f4(MAX_TANH), f4(MIN_SCORE)
BELOW_PRODUCTS = i4(-(2**30))  # products of queries and keys are within 2^24


@helper
def largest_size(row: Float32s, bits: Int32s, n: int) -> Any:
    """Return the largest absolute value of a row whose bits are `bits`; its last element, after n, is written."""
    largest = i4(0)
    for j in range(n):
        largest = max(largest, bits[j] & SIZE_BITS)
    bits[n] = largest
    return row[n]


@helper
def row_total(row: Float32s, n: int, scratch: Float32s) -> Any:
    """Return the sum of a row as `row_sums` adds it; the first three halvings are one loop."""
    if n & 7:
        for j in range(n):
            scratch[j] = row[j]
        return tree_total(scratch, n)
    m = n >> 3
    for j in range(m):
        scratch[j] = ((row[j] + row[j + 4 * m]) + (row[j + 2 * m] + row[j + 6 * m])) + (
            (row[j + m] + row[j + 5 * m]) + (row[j + 3 * m] + row[j + 7 * m])
        )
    return tree_total(scratch, m)


@helper
def squares_total(row: Float32s, n: int, mean: Any, scratch: Float32s) -> Any:
    """Return the sum of the squares of a row minus `mean`, as `row_sums` adds it."""
    if n & 7:
        for j in range(n):
            x = row[j] - mean
            scratch[j] = x * x
        return tree_total(scratch, n)
    m = n >> 3
    for j in range(m):
        a, b, c, d = row[j] - mean, row[j + m] - mean, row[j + 2 * m] - mean, row[j + 3 * m] - mean
        e, f, g, h = row[j + 4 * m] - mean, row[j + 5 * m] - mean, row[j + 6 * m] - mean, row[j + 7 * m] - mean
        scratch[j] = ((a * a + e * e) + (c * c + g * g)) + ((b * b + f * f) + (d * d + h * h))
    return tree_total(scratch, m)


@helper
def tree_total(x: Float32s, n: int) -> Any:
    """Return the sum of n numbers as `row_sums` adds them; they are overwritten.

    Two halvings at once while n is even twice, for a loop of few steps costs more than its additions.
    """
    while n > 8 and n & 3 == 0:
        if n == 32:
            n = 16
            for j in range(16):
                x[j] = x[j] + x[16 + j]
        elif n == 16:
            n = 8
            for j in range(8):
                x[j] = x[j] + x[8 + j]
        else:
            n >>= 2
            for j in range(n):
                x[j] = (x[j] + x[j + 2 * n]) + (x[j + n] + x[j + 3 * n])
    if n == 8:
        return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]))
    while n > 1:
        half = (n + 1) >> 1
        for j in range(n - half):
            x[j] = x[j] + x[half + j]
        n = half
    return x[0]


@helper
def add_outliers(sums: Sums, outliers: Int32s, by_input: NDArray[np.int8]) -> None:
    """Add to the sums of one row what exceeds 127 in its operand, times weights (n_inputs, n_outputs)."""
    for k in range(outliers[0]):
        column, rest = outliers[1 + 2 * k], outliers[2 + 2 * k]
        weights = by_input[column]
        for j in range(len(sums)):
            sums[j] += i4(rest * i4(weights[j]))


@helper
def dequantize(sums: Sums, scale: Any, column_scales: Float32s, bias: Float32s, row: Float32s) -> None:
    """Write the output of a linear layer for one row."""
    for j in range(len(sums)):
        row[j] = f4(sums[j]) * scale * column_scales[j] + bias[j]


@helper
def normalize(rows: Float32s, weight: Float32s, bias: Float32s, eps: Any, scratch: Float32s) -> None:
    """Replace each row by its layer norm, as `layer_norm_` does.

    Each step is done for all rows, so that the processor adds the next row while it waits for the sum of the last.

    Args:
        rows: shape (n, dim), a few rows.
        scratch: shape (ROWS, dim + 1).
    """
    n, dim = rows.shape
    inverse = f4(1.0 / dim)
    for i in range(n):
        scratch[i, dim] = row_total(rows[i], dim, scratch[i]) * inverse
    for i in range(n):
        scratch[i, 0] = squares_total(rows[i], dim, scratch[i, dim], scratch[i]) * inverse + eps
    for i in range(n):
        scratch[i, 0] = ONE / math.sqrt(scratch[i, 0])
    for i in range(n):
        row, mean, factor = rows[i], scratch[i, dim], scratch[i, 0]
        for j in range(dim):
            row[j] = (row[j] - mean) * factor * weight[j] + bias[j]


@helper
def cut_outliers(row: Float32s, limit: Any, n_outliers: Any, outliers: Int32s, previous: Int32s) -> None:
    """Cut the integers of a row beyond +-limit, and write what exceeds it.

    Most rows of an encoder have their outliers in the same columns, so those of the previous row are looked at first.
    """
    n_candidates, n_seen, n_found = previous[0], 0, 0
    while n_found < n_outliers:
        j = previous[1 + 2 * n_seen] if n_seen < n_candidates else n_seen - n_candidates
        n_seen += 1
        value = row[j]
        if abs(value) > limit:
            cut = limit if value > ZERO else -limit
            row[j] = cut
            outliers[1 + 2 * n_found], outliers[2 + 2 * n_found] = j, i4(value - cut)
            n_found += 1


@helper
def quantize_by_norm(
    rows: Float32s, limit: Any, operand: Operand, scales: Float32s, outliers: Int32s, previous: Int32s,
    scratch: Float32s,
) -> None:  # fmt: skip
    """Write the integers and scales of rows as `quantize_rows_by_norm` makes them, the integers cut at `limit`.

    Args:
        rows: shape (n, dim), a few rows.
        limit: 127, or a number that no integer exceeds: then there are no outliers.
        previous: the outliers of the row before.
        scratch: shape (ROWS, dim + 1).
    """
    n, dim = rows.shape
    inverse = f4(1.0 / dim)
    for i in range(n):
        scales[i] = squares_total(rows[i], dim, ZERO, scratch[i]) * inverse
    for i in range(n):
        scales[i] = math.sqrt(SMALLEST if scales[i] < SMALLEST else scales[i]) * NORM_SCALE  # NaN stays NaN
    for i in range(n):
        row, integers, factor, target = rows[i], scratch[i], ONE / scales[i], operand[i]
        for j in range(dim):
            integers[j] = (row[j] * factor + ROUND) - ROUND
        n_outliers = i4(0)
        for j in range(dim):
            n_outliers += i4(1) if abs(integers[j]) > limit else i4(0)
        n_outliers = min(n_outliers, i4((outliers.shape[1] - 1) >> 1))  # memory holds, whatever the numbers are
        if n_outliers:
            cut_outliers(integers, limit, n_outliers, outliers[i], previous)
        outliers[i, 0] = n_outliers
        previous = outliers[i]
        for j in range(dim):
            target[j] = integers[j]


@kernel
def embed(
    ids: Int64s, positions: Int64s, words: Float32s, position_vectors: Float32s, weight: Float32s, bias: Float32s,
    eps: Any, limit: Any, out: Float32s, operand: Operand, scales: Float32s, outliers: Int32s, scratch: Float32s,
) -> None:  # fmt: skip
    """Add the vectors of words and positions, normalize and quantize.

    Args:
        ids, positions: shape (n_rows,).
        words, position_vectors: shape (vocab_size, dim) and (max_len, dim).
        weight, bias, eps: of the layer norm.
        limit: see `quantize_by_norm`.
        out: the float32 result, shape (n_rows, dim).
        operand, scales, outliers: the quantized result.
        scratch: shape (ROWS, dim + 1).
    """
    n_rows, dim = out.shape
    outliers[0, 0] = 0
    for start in range(0, n_rows, ROWS):
        end = min(start + ROWS, n_rows)
        for i in range(start, end):
            row, word, position = out[i], words[ids[i]], position_vectors[positions[i]]
            for j in range(dim):
                row[j] = word[j] + position[j]
        rows, before = out[start:end], outliers[max(start - 1, 0)]
        normalize(rows, weight, bias, eps, scratch)
        quantize_by_norm(rows, limit, operand[start:end], scales[start:end], outliers[start:end], before, scratch)


@kernel
def project(
    sums: Sums, outliers: Int32s, by_input: NDArray[np.int8], row_scales: Float32s, column_scales: Float32s,
    bias: Float32s, limit: Any, out: Float32s, operand: Operand, scales: Float32s, out_outliers: Int32s,
    scratch: Float32s,
) -> None:  # fmt: skip
    """Finish a linear layer whose input has `outliers`, and quantize its output.

    Args:
        sums: shape (n_rows, dim); changed.
        by_input: the weights of the layer, int8, shape (n_inputs, dim).
        limit: see `quantize_by_norm`.
        out: the float32 result, shape (n_rows, dim).
        operand, scales, out_outliers: the quantized result.
        scratch: shape (ROWS, dim + 1).
    """
    n_rows = len(out)
    out_outliers[0, 0] = 0
    for start in range(0, n_rows, ROWS):
        end = min(start + ROWS, n_rows)
        for i in range(start, end):
            add_outliers(sums[i], outliers[i], by_input)
            dequantize(sums[i], row_scales[i], column_scales, bias, out[i])
        rows, before = out[start:end], out_outliers[max(start - 1, 0)]
        quantize_by_norm(rows, limit, operand[start:end], scales[start:end], out_outliers[start:end], before, scratch)


@kernel
def add_and_norm(
    sums: Sums, high_sums: Sums, row_scales: Float32s, column_scales: Float32s, bias: Float32s, weight: Float32s,
    norm_bias: Float32s, eps: Any, limit: Any, out: Float32s, operand: Operand, scales: Float32s, outliers: Int32s,
    scratch: Float32s,
) -> None:  # fmt: skip
    """Finish a linear layer, add its output to `out`, normalize and quantize.

    Args:
        sums: shape (n_rows, dim).
        high_sums: those of the upper part of a 12-bit input, which count 16 times; no rows where there is none.
        weight, norm_bias, eps: of the layer norm.
        limit: see `quantize_by_norm`.
        out: the residual, shape (n_rows, dim); becomes the float32 result.
        operand, scales, outliers: the quantized result.
        scratch: shape (ROWS, dim + 1).
    """
    n_rows, dim = out.shape
    outliers[0, 0] = 0
    for start in range(0, n_rows, ROWS):
        end = min(start + ROWS, n_rows)
        for i in range(start, end):
            source, row, scale = sums[i], out[i], row_scales[i]
            if len(high_sums):
                high = high_sums[i]
                for j in range(dim):
                    total = f4(source[j]) + f4(high[j]) * f4(16)
                    row[j] = (total * scale * column_scales[j] + bias[j]) + row[j]
            else:
                for j in range(dim):
                    row[j] = (f4(source[j]) * scale * column_scales[j] + bias[j]) + row[j]
        rows, before = out[start:end], outliers[max(start - 1, 0)]
        normalize(rows, weight, norm_bias, eps, scratch)
        quantize_by_norm(rows, limit, operand[start:end], scales[start:end], outliers[start:end], before, scratch)


@helper
def gelu(row: Float32s, n: int, is_erf: bool) -> None:
    """Replace a row by its GELU, as `gelu_` does."""
    if is_erf:
        for j in range(n):
            x = row[j]
            a = abs(x)
            a = ERF_END if a > ERF_END else a
            p = ((((a * E5 + E4) * a + E3) * a + E2) * a + E1) * a + E0
            p = p * p  # five times: the 32nd power
            p = p * p
            p = p * p
            p = p * p
            p = p * p
            row[j] = (x if x > ZERO else ZERO) - a * p
    else:
        for j in range(n):
            x = row[j]
            a = abs(x)
            a = TANH_END if a > TANH_END else a
            p = ((((a * T5 + T4) * a + T3) * a + T2) * a + T1) * a + T0
            p = p * p  # four times: the 16th power
            p = p * p
            p = p * p
            p = p * p
            row[j] = (x if x > ZERO else ZERO) - a * p / (p + ONE)


@helper
def quantize(row: Float32s, bits: Int32s, n: int, levels: Any, operand: Operand) -> Any:
    """Write the integers of a row as `quantize_rows` makes them, and return their scale.

    Args:
        row, bits: the same n + 1 elements as float32 and int32.
        levels: the largest integer.
    """
    largest = largest_size(row, bits, n)
    largest = SMALLEST if largest < SMALLEST else largest  # NaN stays NaN
    factor = levels / largest
    for j in range(n):
        operand[j] = (row[j] * factor + ROUND) - ROUND
    return largest * f4(1.0 / levels)


@kernel
def activate(
    sums: Sums, outliers: Int32s, by_input: NDArray[np.int8], row_scales: Float32s, column_scales: Float32s,
    bias: Float32s, is_erf: bool, levels: Any, operand: Operand, high_operand: Operand, scales: Float32s,
    scratch: Float32s,
) -> None:  # fmt: skip
    """Finish a linear layer whose input has `outliers`, apply GELU, and quantize.

    Args:
        sums: shape (n_rows, dim); changed.
        by_input: the weights of the layer, int8, shape (n_inputs, dim).
        is_erf: which GELU.
        levels: the largest integer, 127, or 2,032 where `high_operand` has rows.
        operand, scales: the quantized result.
        high_operand: of 12 bits, the upper part: an integer is 16 * high + low; no rows for 8 bits.
        scratch: shape (2, dim + 1).
    """
    n_rows, dim = sums.shape
    row, integers = scratch[0], scratch[1]
    bits = row.view(np.int32)
    for i in range(n_rows):
        add_outliers(sums[i], outliers[i], by_input)
        dequantize(sums[i], row_scales[i], column_scales, bias, row)
        gelu(row, dim, is_erf)
        if len(high_operand):
            scales[i] = quantize(row, bits, dim, levels, integers)
            high, low = high_operand[i], operand[i]
            for j in range(dim):
                upper = (integers[j] * f4(1 / 16) + ROUND) - ROUND
                high[j] = upper
                low[j] = integers[j] - upper * f4(16)
        else:
            scales[i] = quantize(row, bits, dim, levels, operand[i])


@kernel
def quantize_heads(
    sums: Sums, outliers: Int32s, by_input: NDArray[np.int8], row_scales: Float32s, column_scales: Float32s,
    bias: Float32s, starts: Int64s, levels: Float32s, out: Float32s, scales: Float32s, sizes: Float32s,
) -> None:  # fmt: skip
    """Finish the linear layer of queries, keys and values, and quantize them by text and head.

    Args:
        sums: of the tokens of all texts, one after the other, shape (n_rows, 3 * hidden_size); changed.
        outliers, by_input: of the layer's input, and its weights, int8, shape (hidden_size, 3 * hidden_size).
        starts: the first row of each text, and the end of the last one, shape (n_texts + 1,).
        levels: the largest integers of queries, keys and values, shape (3,).
        out: the integers, shape (3, n_texts, n_heads, seq_len, head_dim); 0 for padding.
        scales: shape (n_texts, 3, n_heads).
        sizes: scratch, shape (3 * hidden_size,).
    """
    _, n_texts, n_heads, _, head_dim = out.shape
    width = sums.shape[1]
    for text in range(n_texts):
        start, length = starts[text], starts[text + 1] - starts[text]
        for j in range(width):
            sizes[j] = ZERO
        for i in range(start, start + length):
            add_outliers(sums[i], outliers[i], by_input)
            source, scale = sums[i], row_scales[i]
            for j in range(width):
                size = abs(f4(source[j]) * scale * column_scales[j] + bias[j])
                sizes[j] = size if size > sizes[j] else sizes[j]
        for group in range(3 * n_heads):
            part, head, first = group // n_heads, group % n_heads, group * head_dim
            largest = SMALLEST
            for j in range(first, first + head_dim):
                largest = max(largest, sizes[j])
            scales[text, part, head] = largest / levels[part]
            factor = levels[part] / largest
            for i in range(length):
                source, scale, target = sums[start + i], row_scales[start + i], out[part, text, head, i]
                for j in range(head_dim):
                    x = f4(source[first + j]) * scale * column_scales[first + j] + bias[first + j]
                    target[j] = (x * factor + ROUND) - ROUND
            out[part, text, head, length:] = ZERO


@kernel
def softmax_weights(
    products: Float32s, starts: Int64s, scales: Float32s, inverse_root: Any, levels: Any, exp_levels: Any
) -> None:
    """Replace the products of queries and keys by their softmax as integers, as `softmax_integers_` does for 8 bits.

    Args:
        products: integers, shape (n_texts, n_heads, seq_len, seq_len); rows of padding stay as they are.
        starts: the first row of each text, and the end of the last one, shape (n_texts + 1,).
        scales: of `quantize_heads`.
        inverse_root: 1 / sqrt(head_dim).
        levels: the integer that stands for 1.
        exp_levels: the integer that stands for exp(0).
    """
    n_texts, n_heads = products.shape[:2]
    for text in range(n_texts):
        length = starts[text + 1] - starts[text]
        for head in range(n_heads):
            scale = scales[text, 0, head] * scales[text, 1, head] * inverse_root
            for i in range(length):
                row = products[text, head, i]
                largest = BELOW_PRODUCTS
                for j in range(length):
                    largest = max(largest, i4(row[j]))
                top = f4(largest) * scale
                total = i4(0)
                for j in range(length):
                    x = row[j] * scale - top
                    x = SCORE_END if x < SCORE_END else x
                    p = ((x * X3 + X2) * x + X1) * x + X0
                    p = p * p  # four times: the 16th power
                    p = p * p
                    p = p * p
                    p = p * p
                    p = (p * exp_levels + ROUND) - ROUND
                    row[j] = p
                    total += i4(p)
                factor = levels / f4(total)
                for j in range(length):
                    row[j] = (row[j] * factor + ROUND) - ROUND
                row[length:] = ZERO


@kernel
def quantize_context(
    context: Float32s, starts: Int64s, scales: Float32s, inverse_levels: Any, operand: Operand, row_scales: Float32s,
    scratch: Float32s,
) -> None:  # fmt: skip
    """Scale what the heads return, put them side by side, and quantize to 8 bits.

    Args:
        context: integers, shape (n_texts, n_heads, seq_len, head_dim).
        starts: the first row of each text, and the end of the last one, shape (n_texts + 1,).
        scales: of `quantize_heads`.
        inverse_levels: 1 / the integer of the softmax weight 1.
        operand, row_scales: the quantized result, shape (n_rows, n_heads * head_dim) and (n_rows,).
        scratch: shape (n_heads * head_dim + 1,).
    """
    n_texts, n_heads, _, head_dim = context.shape
    dim = n_heads * head_dim
    row, bits = scratch, scratch.view(np.int32)
    for text in range(n_texts):
        for i in range(starts[text + 1] - starts[text]):
            for head in range(n_heads):
                source, scale = context[text, head, i], scales[text, 2, head] * inverse_levels
                for j in range(head_dim):
                    row[head * head_dim + j] = source[j] * scale
            target = starts[text] + i
            row_scales[target] = quantize(row, bits, dim, MAX_INT8, operand[target])


@helper
def copy(source: Float32s, target: Float32s) -> None:
    """Copy one row to another."""
    for j in range(len(source)):
        target[j] = source[j]


@kernel
def pool(hidden: Float32s, starts: Int64s, mean: Float32s, largest: Float32s, sums: Float32s) -> None:
    """Write the mean and the maximum of the rows of each text, as `encoder.exact.Layout.pool` computes them.

    Args:
        hidden: shape (n_rows, dim).
        starts: the first row of each text, and the end of the last one, shape (n_texts + 1,).
        mean, largest: shape (n_texts, dim), or no rows for what is not asked for.
        sums: scratch, one row for each two of the longest text, shape (n, dim).
    """
    dim = hidden.shape[1]
    for text in range(len(starts) - 1):
        rows = hidden[starts[text] : starts[text + 1]]
        if len(largest):
            target = largest[text]
            copy(rows[0], target)
            for i in range(1, len(rows)):
                for j in range(dim):
                    target[j] = rows[i, j] if rows[i, j] > target[j] else target[j]
        if len(mean):
            n = len(rows)
            for i in range(n >> 1):
                for j in range(dim):
                    sums[i, j] = rows[2 * i, j] + rows[2 * i + 1, j]
            if n & 1:
                copy(rows[n - 1], sums[n >> 1])
            n = (n + 1) >> 1
            while n > 1:
                for i in range(n >> 1):
                    for j in range(dim):
                        sums[i, j] = sums[2 * i, j] + sums[2 * i + 1, j]
                if n & 1:
                    copy(sums[n - 1], sums[n >> 1])
                n = (n + 1) >> 1
            target = mean[text]
            count = f4(len(rows))
            for j in range(dim):
                target[j] = (sums[0, j] + ZERO) / count
