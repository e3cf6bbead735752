"""Sums in a fixed order against `math.fsum`."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sentiment.numerics.functions import layer_norm_
from sentiment.numerics.memory import Buffers
from sentiment.numerics.quantization import adjacent_sums, integer_sums, row_sums

ROW = st.lists(st.floats(-(2.0**60), 2.0**60, width=32), min_size=1, max_size=300)


def bound(values: list[float]) -> float:
    """d * 2^-24 * sum(|x|) for a tree of depth d, and a little for what is not first order."""
    depth = math.ceil(math.log2(len(values))) if len(values) > 1 else 0
    return 1.001 * depth * 2**-24 * math.fsum(map(abs, values))


@settings(deadline=None)
@given(ROW)
def test_row_sum_is_within_its_bound(values: list[float]) -> None:
    x = torch.tensor([values, values])
    sums = row_sums(x, Buffers(torch.device("cpu")))
    assert sums[0] == sums[1]
    assert abs(sums[0].item() - math.fsum(values)) <= bound(values)
    assert x[0].tolist() == values


@settings(deadline=None)
@given(ROW, st.integers(0, 70))
def test_adjacent_sum_is_within_its_bound_and_ignores_zeros_behind(values: list[float], n_zeros: int) -> None:
    total = adjacent_sums(torch.tensor(values).view(1, -1, 1))
    padded = adjacent_sums(torch.tensor(values + [0.0] * n_zeros).view(1, -1, 1))
    assert abs(total.item() - math.fsum(values)) <= bound(values)
    assert total.numpy().tobytes() == padded.numpy().tobytes()


@settings(deadline=None)
@given(st.lists(st.integers(-(2**15), 2**15), min_size=1, max_size=512))
def test_integer_sum_is_that_of_python(values: list[int]) -> None:
    assert integer_sums(torch.tensor([values], dtype=torch.float32)).item() == sum(values)


def test_layer_norm_is_close_to_that_of_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    for dim in (1, 7, 192, 768):
        x, weight, bias = (torch.randn(size, generator=generator) for size in ((50, dim), (dim,), (dim,)))
        expected = torch.nn.functional.layer_norm(x, (dim,), weight, bias, 1e-12)
        normed = layer_norm_(x.clone(), weight, bias, 1e-12, Buffers(torch.device("cpu")))
        torch.testing.assert_close(normed, expected, atol=2e-5, rtol=1e-5)
