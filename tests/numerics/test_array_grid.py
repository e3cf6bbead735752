"""Products on grids against Python's integers, and the grid's bounds."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentiment.numerics.arrays import EXACT_BITS, bits_left, round_to_bits


@settings(deadline=None)
@given(st.lists(st.floats(-1e19, 1e19), min_size=1, max_size=50), st.integers(1, 51))
def test_rounding_is_within_its_bound_and_on_a_grid_of_n_bits(values: list[float], bits: int) -> None:
    rounded = round_to_bits(np.array(values), bits)
    peak = max(map(abs, values))
    step = 2.0 ** (max(np.frexp(peak)[1], -400) - bits)
    assert np.abs(rounded - np.array(values)).max() <= step / 2
    whole = rounded / step
    assert (whole == np.rint(whole)).all()
    assert np.abs(whole).max() <= 2**bits


@settings(deadline=None)
@given(st.integers(1, 2_000), st.integers(10, 40), st.integers(0, 2**32), st.floats(-60, 60), st.floats(-60, 60))
def test_products_are_exact_up_to_the_last_bit(n: int, bits: int, seed: int, low: float, high: float) -> None:
    rng = np.random.default_rng(seed)
    left = round_to_bits(rng.standard_normal((2, n)) * 2.0**low, bits)
    right = round_to_bits(rng.standard_normal((n, 2)) * 2.0**high, bits_left(bits, n))
    expected = [
        [float(sum(Fraction(a) * Fraction(b) for a, b in zip(row, column, strict=True))) for column in right.T.tolist()]
        for row in left.tolist()
    ]
    assert (left @ right).tolist() == expected


@pytest.mark.parametrize("n", [1, 2, 3, 512, 1_000])
def test_the_largest_numbers_of_one_sign_are_summed_exactly(n: int) -> None:
    bits = 20
    other = bits_left(bits, n)
    assert 2 ** (bits + other) * n <= 2**EXACT_BITS
    left, right = np.full((1, n), 2.0**bits - 1), np.full((n, 1), 2.0**other - 1)
    assert int((left @ right)[0, 0]) == (2**bits - 1) * (2**other - 1) * n


def test_every_row_has_its_own_step() -> None:
    values = np.random.default_rng(0).standard_normal((5, 30)) * 10.0 ** np.arange(-10, 15, 5)[:, None]
    rounded = round_to_bits(values, 12, axis=1)
    assert all((round_to_bits(row, 12) == rounded[index]).all() for index, row in enumerate(values))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e200])
def test_what_could_overflow_becomes_nan_with_all_that_share_its_step(value: float) -> None:
    values = np.array([[1.0, value], [1.0, 2.0]])
    assert np.isnan(round_to_bits(values, 20)).all()
    by_row = round_to_bits(values, 20, axis=1)
    assert np.isnan(by_row[0]).all()
    assert by_row[1].tolist() == [1.0, 2.0]


def test_zeros_stay_zeros() -> None:
    assert round_to_bits(np.zeros((2, 2)), 20).tolist() == [[0, 0], [0, 0]]
