"""Each kernel gives the bytes of the torch operations, at extremes too."""

from collections.abc import Sequence
from itertools import accumulate
from math import sqrt
from typing import Any

import numpy as np
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from sentiment.encoder.exact import Layout, attention, attention_levels
from sentiment.numerics import kernels
from sentiment.numerics.functions import Gelu, exp_levels, gelu_, layer_norm_
from sentiment.numerics.memory import Buffers
from sentiment.numerics.quantization import outlier_capacity, quantize_rows, quantize_rows_by_norm, row_sums

CPU = torch.device("cpu")
BUFFERS = Buffers(CPU)
EPS = 1e-12
UNLIMITED = 2.0**22
MAX_LEN = 512
Array = NDArray[Any]
Float32s = NDArray[np.float32]

SIZES = st.sampled_from([0.0, 1e-42, 1e-25, 1e-6, 1.0, 300.0, 1e15, 1e30])
DIMS = st.sampled_from([1, 2, 3, 7, 8, 16, 24, 31, 32, 33, 64, 100, 192, 256, 312])
examples = settings(max_examples=100, deadline=None)


def f4(value: float) -> Any:
    return np.float32(value)


def scratch(*shape: int) -> Float32s:
    return np.full(shape, np.nan, np.float32)


def row_scratch(dim: int) -> Float32s:
    return scratch(kernels.ROWS, dim + 1)


def outliers_for(n_rows: int, dim: int) -> NDArray[np.int32]:
    return np.empty((n_rows, 1 + 2 * outlier_capacity(dim)), np.int32)


def no_rows(like: Array) -> Array:
    return np.empty((0, like.shape[1]), like.dtype)


def whole(operand: Array, outliers: NDArray[np.int32]) -> Float32s:
    """Return the integers of an operand with what is beyond +-127."""
    integers = operand.astype(np.float32)
    for row, (n, *pairs) in zip(integers, outliers.tolist(), strict=True):
        for column, rest in zip(pairs[0 : 2 * n : 2], pairs[1 : 2 * n : 2], strict=True):
            row[column] += rest
    return integers


def assert_same(integers: Float32s, scales: Float32s, expected: Tensor, expected_scales: Tensor) -> None:
    """Compare integers and scales; where a scale has overflowed, int8 cannot hold what float32 does: not a number."""
    np.testing.assert_array_equal(scales, expected_scales.squeeze(1).numpy())
    finite = np.isfinite(scales)
    np.testing.assert_array_equal(integers[finite], expected.numpy()[finite])


def assert_quantized_by_norm(x: Tensor, operand: Array, scales: Float32s, outliers: NDArray[np.int32]) -> None:
    integers, expected_scales = quantize_rows_by_norm(x, BUFFERS)
    assert_same(whole(operand, outliers), scales, integers, expected_scales)
    if operand.dtype == np.int8:  # processors differ in which int8 they make of what is not a number
        assert (np.abs(operand[np.isfinite(scales)].astype(int)) <= 127).all()


class Numbers:
    """Random arrays: rows of very different sizes, some columns much larger, some zeros and negative zeros."""

    def __init__(self, seed: int, size: float) -> None:
        self.rng = np.random.default_rng(seed)
        self.size = size
        self.name = f"Numbers({seed}, {size})"

    def __repr__(self) -> str:
        return self.name

    def floats(self, *shape: int) -> Float32s:
        values = self.rng.standard_normal(shape).astype(np.float32)
        values[..., self.rng.random(shape[-1]) < 0.05] *= f4(40)
        values[self.rng.random(shape) < 0.05] *= f4(0)
        values *= f4(self.size)
        return values

    def tensor(self, *shape: int) -> Tensor:
        return torch.from_numpy(self.floats(*shape))

    def small(self, *shape: int) -> Float32s:
        return self.rng.standard_normal(shape).astype(np.float32)

    def sums(self, dtype: Any, *shape: int) -> Array:
        return self.rng.integers(-(2**23), 2**23, shape).astype(dtype)


numbers = st.builds(Numbers, st.integers(0, 2**31), SIZES)
backends = st.sampled_from([(np.int32, np.int8, 127.0), (np.float32, np.float32, UNLIMITED)])


@examples
@given(numbers, st.integers(1, 5), st.one_of(DIMS, st.integers(1, 400)))
def test_row_total_is_row_sums(number: Numbers, n_rows: int, dim: int) -> None:
    x = number.floats(n_rows, dim)
    totals = [kernels.row_total(row, dim, np.empty(dim, np.float32)) for row in x]
    squares = [kernels.squares_total(row, dim, f4(0), np.empty(dim, np.float32)) for row in x]
    wide = torch.from_numpy(x)
    expected, expected_squares = (row_sums(values, BUFFERS).clone() for values in (wide, wide * wide))
    np.testing.assert_array_equal(np.array(totals, np.float32), expected.squeeze(1).numpy())
    np.testing.assert_array_equal(np.array(squares, np.float32), expected_squares.squeeze(1).numpy())


@examples
@given(numbers, st.sampled_from([1, 2, 9]), DIMS, backends)
def test_embed(number: Numbers, n_rows: int, dim: int, backend: tuple[Any, Any, float]) -> None:
    _, operand_type, limit = backend
    words, positions, weight, bias = number.floats(20, dim), number.floats(9, dim), number.small(dim), number.small(dim)
    ids, indices = (number.rng.integers(0, n, n_rows) for n in (20, 9))
    out, operand, scales = (
        np.empty((n_rows, dim), np.float32),
        np.empty((n_rows, dim), operand_type),
        np.empty(n_rows, np.float32),
    )
    outliers = outliers_for(n_rows, dim)
    kernels.embed(
        ids,
        indices,
        words,
        positions,
        weight,
        bias,
        f4(EPS),
        f4(limit),
        out,
        operand,
        scales,
        outliers,
        row_scratch(dim),
    )
    expected = torch.from_numpy(words[ids]) + torch.from_numpy(positions[indices])
    layer_norm_(expected, torch.from_numpy(weight), torch.from_numpy(bias), EPS, BUFFERS)
    np.testing.assert_array_equal(out, expected.numpy())
    assert_quantized_by_norm(expected, operand, scales, outliers)


def linear(sums: Array, row_scales: Float32s, column_scales: Float32s, bias: Float32s) -> Tensor:
    """Return the output of a linear layer as `ExactTransformer` computes it by torch's operations."""
    x = torch.from_numpy(sums.astype(np.float32)).mul_(torch.from_numpy(row_scales)[:, None])
    return x.mul_(torch.from_numpy(column_scales)).add_(torch.from_numpy(bias))


def input_outliers(number: Numbers, n_rows: int, n_inputs: int, dim: int) -> tuple[NDArray[np.int32], Array, Array]:
    """Return outliers of an input, a weight (n_inputs, dim), and what they add to the sums (n_rows, dim)."""
    outliers = np.zeros((n_rows, 7), np.int32)
    by_input = number.rng.integers(-127, 128, (n_inputs, dim)).astype(np.int8)
    added = np.zeros((n_rows, dim), np.int64)
    for i in range(n_rows):
        outliers[i, 0] = n = number.rng.integers(0, 4)
        outliers[i, 1 : 1 + 2 * n : 2] = number.rng.integers(0, n_inputs, n)
        outliers[i, 2 : 2 + 2 * n : 2] = number.rng.integers(-1_500, 1_500, n)
        for column, rest in outliers[i, 1 : 1 + 2 * n].reshape(n, 2):
            added[i] += int(rest) * by_input[column].astype(np.int64)
    return outliers, by_input, added


@examples
@given(numbers, st.sampled_from([1, 2, 9]), DIMS, backends)
def test_project(number: Numbers, n_rows: int, dim: int, backend: tuple[Any, Any, float]) -> None:
    sums_type, operand_type, limit = backend
    sums, column_scales, bias = number.sums(sums_type, n_rows, dim), number.small(dim), number.floats(dim)
    given_outliers, by_input, added = input_outliers(number, n_rows, 5, dim)
    if sums_type is np.float32:
        given_outliers[:, 0], added = 0, added * 0
    row_scales = np.abs(number.floats(n_rows))
    expected = linear(sums + added, row_scales, column_scales, bias)
    out, operand, scales = (
        np.empty((n_rows, dim), np.float32),
        np.empty((n_rows, dim), operand_type),
        np.empty(n_rows, np.float32),
    )
    outliers = outliers_for(n_rows, dim)
    kernels.project(
        sums, given_outliers, by_input, row_scales, column_scales, bias, f4(limit), out, operand, scales, outliers,
        row_scratch(dim),
    )  # fmt: skip
    np.testing.assert_array_equal(out, expected.numpy())
    assert_quantized_by_norm(expected, operand, scales, outliers)


@examples
@given(numbers, st.sampled_from([1, 2, 9]), DIMS, backends, st.booleans())
def test_add_and_norm(
    number: Numbers, n_rows: int, dim: int, backend: tuple[Any, Any, float], has_12_bits: bool
) -> None:
    sums_type, operand_type, limit = backend
    sums, high_sums = number.sums(sums_type, n_rows, dim), number.sums(sums_type, n_rows, dim)
    row_scales, column_scales, bias = np.abs(number.floats(n_rows)), number.small(dim), number.floats(dim)
    weight, norm_bias, residual = number.small(dim), number.small(dim), number.floats(n_rows, dim)
    total = torch.from_numpy(sums.astype(np.float32))
    if has_12_bits:
        total.add_(torch.from_numpy(high_sums.astype(np.float32)).mul_(16.0))
    expected = linear(total.numpy(), row_scales, column_scales, bias).add_(torch.from_numpy(residual))
    layer_norm_(expected, torch.from_numpy(weight), torch.from_numpy(norm_bias), EPS, BUFFERS)
    operand, scales, outliers = (
        np.empty((n_rows, dim), operand_type),
        np.empty(n_rows, np.float32),
        outliers_for(n_rows, dim),
    )
    kernels.add_and_norm(
        sums, high_sums if has_12_bits else no_rows(high_sums), row_scales, column_scales, bias, weight, norm_bias,
        f4(EPS), f4(limit), residual, operand, scales, outliers, row_scratch(dim),
    )  # fmt: skip
    np.testing.assert_array_equal(residual, expected.numpy())
    assert_quantized_by_norm(expected, operand, scales, outliers)


@examples
@given(numbers, st.sampled_from([1, 2, 9]), DIMS, backends, st.sampled_from(["erf", "tanh"]), st.booleans())
def test_activate(
    number: Numbers, n_rows: int, dim: int, backend: tuple[Any, Any, float], kind: Gelu, has_12_bits: bool
) -> None:
    sums_type, operand_type, _ = backend
    sums, column_scales, bias = number.sums(sums_type, n_rows, dim), number.small(dim), number.floats(dim)
    outliers, by_input, added = input_outliers(number, n_rows, 5, dim)
    if sums_type is np.float32:
        outliers[:, 0], added = 0, added * 0
    row_scales = np.abs(number.floats(n_rows)) * f4(1e-7)
    x = gelu_(linear(sums + added, row_scales, column_scales, bias), kind, BUFFERS)
    expected, expected_scales = quantize_rows(12 if has_12_bits else 8, x, BUFFERS)
    operand, high, scales = (
        np.empty((n_rows, dim), operand_type),
        np.empty((n_rows, dim), operand_type),
        np.empty(n_rows, np.float32),
    )
    kernels.activate(
        sums, outliers, by_input, row_scales, column_scales, bias, kind == "erf", f4(2_032 if has_12_bits else 127),
        operand, high if has_12_bits else no_rows(high), scales, scratch(2, dim + 1),
    )  # fmt: skip
    integers = operand.astype(np.float32) + (16 * high.astype(np.float32) if has_12_bits else 0)
    assert_same(integers, scales, expected, expected_scales)


lengths_of_texts = st.lists(st.integers(1, 20), min_size=1, max_size=4)


def quantized_attention(
    sums: Array, outliers: NDArray[np.int32], by_input: Array, row_scales: Float32s, column_scales: Float32s,
    bias: Float32s, lengths: Sequence[int], n_heads: int,
) -> tuple[Array, Float32s]:  # fmt: skip
    """Return what the attention kernels write for the tokens of texts: integers and scales by row."""
    n_texts, seq_len, width = len(lengths), max(lengths), sums.shape[1] // 3
    head_dim = width // n_heads
    starts = np.array([0, *accumulate(lengths)])
    levels, weight_levels, value_levels = attention_levels(head_dim, MAX_LEN, 8)
    heads, scales = (
        np.full((3, n_texts, n_heads, seq_len, head_dim), np.nan, np.float32),
        np.empty((n_texts, 3, n_heads), np.float32),
    )
    kernels.quantize_heads(
        sums, outliers, by_input, row_scales, column_scales, bias, starts,
        np.array([levels, levels, value_levels], np.float32), heads, scales, scratch(3 * width),
    )  # fmt: skip
    query, key, value = torch.from_numpy(heads)
    products = query @ key.transpose(2, 3)
    kernels.softmax_weights(
        products.numpy(), starts, scales, f4(1 / sqrt(head_dim)), f4(weight_levels), f4(exp_levels(MAX_LEN))
    )
    operand, context_scales = np.empty((starts[-1], width), np.int8), np.empty(starts[-1], np.float32)
    context = (products @ value).numpy()
    kernels.quantize_context(
        context, starts, scales, f4(1 / weight_levels), operand, context_scales, scratch(width + 1)
    )
    return operand, context_scales


@examples
@given(numbers, lengths_of_texts, st.sampled_from([1, 2, 3]), st.sampled_from([1, 5, 16, 64]), backends)
@example(Numbers(1088622607, 1e15), [1, 19, 3, 11], 3, 5, (np.int32, np.int8, 127.0))  # scores of -1e37
def test_attention(
    number: Numbers, lengths: list[int], n_heads: int, head_dim: int, backend: tuple[Any, Any, float]
) -> None:
    width = 3 * n_heads * head_dim
    layout = Layout([[1] * length for length in lengths], CPU)
    n_rows = len(layout.ids)
    sums = number.sums(backend[0], n_rows, width)
    column_scales, bias = (
        number.small(width),
        np.concatenate([number.floats(width // 3), np.zeros(2 * width // 3, np.float32)]),
    )
    outliers, by_input, added = input_outliers(number, n_rows, 5, width)
    if backend[0] is np.float32:
        outliers[:, 0], added = 0, added * 0
    row_scales = np.abs(number.floats(n_rows)) * f4(1e-5)
    x = linear(sums + added, row_scales, column_scales, bias)
    context = attention(x, layout, n_heads, MAX_LEN, 8, BUFFERS)
    integers, scales = quantize_rows(8, context[: sum(lengths)], BUFFERS)
    found, found_scales = quantized_attention(
        sums, outliers, by_input, row_scales, column_scales, bias, lengths, n_heads
    )
    assert_same(found.astype(np.float32), found_scales, integers, scales)


@examples
@given(numbers, lengths_of_texts, DIMS)
def test_pool(number: Numbers, lengths: list[int], dim: int) -> None:
    layout = Layout([[1] * length for length in lengths], CPU)
    hidden = number.floats(len(layout.ids), dim) + f4(0)
    mean, largest = np.empty((2, len(lengths), dim), np.float32)
    kernels.pool(hidden, layout.starts, mean, largest, scratch((max(lengths) + 1) // 2, dim))
    expected = layout.pool(torch.from_numpy(hidden), "mean+max", BUFFERS)
    assert np.concatenate([mean, largest], axis=1).tobytes() == expected.numpy().tobytes()


def test_what_is_not_a_number_stays_one() -> None:
    """Else a broken encoder would give features that look right."""
    rows, operand, outliers = np.array([[1, np.nan, 3, 4]], np.float32), np.empty((1, 4), np.int8), outliers_for(1, 4)
    scales, none = np.empty(1, np.float32), np.zeros(1, np.int32)
    kernels.quantize_by_norm(rows, f4(127), operand, scales, outliers, none, row_scratch(4))
    assert np.isnan(scales[0])
    assert outliers[0, 0] == 0
    wide = np.append(rows[0], f4(0))
    assert np.isnan(kernels.quantize(wide, wide.view(np.int32), 4, f4(127), operand[0]))


def test_rows_keep_their_outliers_whatever_the_previous_row_has() -> None:
    generator = np.random.default_rng(0)
    x = generator.standard_normal((200, 96)).astype(np.float32)
    x[np.arange(200), generator.integers(0, 96, 200)] *= f4(60)
    x[::3, 5] = f4(-50)
    operand, scales, outliers = np.empty((200, 96), np.int8), np.empty(200, np.float32), outliers_for(200, 96)
    ones, zeros = np.ones(96, np.float32), np.zeros(96, np.float32)
    kernels.add_and_norm(
        np.zeros((200, 96), np.int32), np.zeros((0, 96), np.int32), np.ones(200, np.float32), ones, zeros, ones, zeros,
        f4(EPS), f4(127), x, operand, scales, outliers, row_scratch(96),
    )  # fmt: skip
    assert 1 < outliers[:, 0].mean() < 3
    assert_quantized_by_norm(torch.from_numpy(x), operand, scales, outliers)
