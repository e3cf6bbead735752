"""exp, log and their like against mpmath at 200 bits."""

import math
from collections.abc import Callable

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sentiment.numerics.arrays import approximate_sigmoid, exp, log, log1p, sigmoid, softplus

FAR = [1e6, 1e16, 1e300, np.inf]  # too large for an index; what becomes of them as integers depends on the processor
Function = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def ulps(value: float, argument: float, reference: Callable[[mpmath.mpf], mpmath.mpf]) -> float:
    """Return the distance of `value` from the true one in units in the last place of the true one."""
    with mpmath.workprec(200):
        true = reference(mpmath.mpf(argument))
        return float(abs(mpmath.mpf(value) - true) / math.ulp(float(true)))


def true_sigmoid(x: mpmath.mpf) -> mpmath.mpf:
    return 1 / (1 + mpmath.exp(-x))


def true_softplus(x: mpmath.mpf) -> mpmath.mpf:
    return mpmath.log1p(mpmath.exp(x))


@settings(deadline=None)
@given(st.floats(-745, 709.7))
def test_exp_is_within_one_ulp(x: float) -> None:
    assert ulps(float(exp(x)), x, mpmath.exp) < 1


@settings(deadline=None)
@given(st.floats(5e-324, 1.7e308) | st.floats(0.5, 2.0))
def test_log_is_within_one_ulp(x: float) -> None:
    assert ulps(float(log(x)), x, mpmath.log) < 1


@settings(deadline=None)
@given(st.floats(5e-324, 1e300) | st.floats(1e-20, 1.0))
def test_log1p_is_within_two_ulps(x: float) -> None:
    assert ulps(float(log1p(x)), x, mpmath.log1p) < 2


@settings(deadline=None)
@given(st.floats(-700, 700) | st.floats(-4, 4))
def test_sigmoid_is_within_three_ulps_and_softplus_within_two(x: float) -> None:
    assert ulps(float(sigmoid(x)), x, true_sigmoid) < 3
    assert ulps(float(softplus(x)), x, true_softplus) < 2


@pytest.mark.parametrize(
    ("function", "low", "high", "reference", "limit"),
    [
        (exp, -1.0, 1.0, mpmath.exp, 1),
        (log, 0.6, 1.6, mpmath.log, 1),
        (log1p, 0.0, 1.0, mpmath.log1p, 2),
        (sigmoid, -20.0, 20.0, true_sigmoid, 3),
        (softplus, -20.0, 20.0, true_softplus, 2),
    ],
)
def test_two_thousand_numbers_where_the_head_needs_them(
    function: Function, low: float, high: float, reference: Callable[[mpmath.mpf], mpmath.mpf], limit: float
) -> None:
    x = np.random.default_rng(0).uniform(low, high, 2_000)
    worst = max(ulps(y, a, reference) for a, y in zip(x.tolist(), function(x).tolist(), strict=True))
    assert worst < limit


def test_the_approximate_sigmoid_keeps_to_its_bound_everywhere() -> None:
    x = np.concatenate([np.linspace(-40, 40, 200_001), FAR, np.negative(FAR)])
    with np.errstate(all="raise"):
        approximate = approximate_sigmoid(x)
    assert np.abs(approximate - sigmoid(x)).max() < 2e-8
    with np.errstate(invalid="ignore"):
        assert np.isnan(approximate_sigmoid(np.array([np.nan]))).all()


def test_limits_and_invalid_numbers_do_not_warn() -> None:
    with np.errstate(all="raise"):
        assert exp([-np.inf, -1e308, 0.0, 710.0, np.inf]).tolist() == [0, 0, 1, np.inf, np.inf]
        assert log([0.0, 1.0, np.inf]).tolist() == [-np.inf, 0, np.inf]
        assert np.isnan(log([-1.0, np.nan])).all()
        assert np.isnan([exp(np.nan), sigmoid(np.nan), softplus(np.nan)]).all()
        assert sigmoid([-1e4, 0, 1e4]).tolist() == [0, 0.5, 1]
        assert softplus([-1e4, 1e4]).tolist() == [0, 1e4]
        assert softplus([-np.inf, np.inf]).tolist() == log1p([0.0, np.inf]).tolist() == [0, np.inf]


@settings(deadline=None)
@given(st.lists(st.floats(-800, 800), min_size=1, max_size=70))
def test_an_element_has_the_same_result_in_any_array(values: list[float]) -> None:
    for function in (exp, sigmoid, softplus):
        together = function(np.array(values)).tolist()
        assert together == [float(function(np.array(value))) for value in values]
