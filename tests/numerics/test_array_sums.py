"""Sums against `math.fsum` and fractions."""

import math
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sentiment.numerics.arrays import exact_mean, tree_sum

NUMBERS = st.lists(st.floats(-1e100, 1e100), min_size=1, max_size=300)


@settings(deadline=None)
@given(NUMBERS)
def test_the_exact_sum_is_the_rounded_sum_of_fractions_in_any_order(values: list[float]) -> None:
    expected = float(sum(map(Fraction, values)))
    assert exact_mean(np.array(values)) == expected / len(values)
    assert exact_mean(np.array(sorted(values))) == expected / len(values)


@settings(deadline=None)
@given(NUMBERS)
def test_the_tree_sum_is_within_its_bound_of_fsum(values: list[float]) -> None:
    roundings = math.ceil(math.log2(len(values)))
    bound = roundings * 2.0**-53 * math.fsum(map(abs, values)) * (1 + 1e-9)
    assert abs(float(tree_sum(np.array(values))) - math.fsum(values)) <= bound + math.ulp(math.fsum(values))


def test_columns_are_summed_one_by_one() -> None:
    values = np.random.default_rng(0).standard_normal((1_001, 7))
    assert tree_sum(values).tolist() == [float(tree_sum(column)) for column in values.T]
