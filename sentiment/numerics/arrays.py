"""Compute with NumPy arrays so that every processor gives the same bits: functions, sums, and products on a grid.

    from sentiment.numerics.arrays import exact_mean, exp, round_to_bits, tree_sum

`np.exp` and `np.log` come from the C library or from SIMD code and differ in the last bit between processors. These
use +, -, x and / alone, each a NumPy call of its own: IEEE 754 rounds each of them in one way, and no compiler can
join two into a fused multiply-add. `frexp` and `ldexp` change the exponent only and have one correct result. Range
reduction and polynomials are FDLIBM's (e_exp.c, e_log.c; Sun Microsystems, 1993, https://www.netlib.org/fdlibm/).

`np.sum` adds in an order that depends on the width of the processor's registers, and rounds after every addition. Sums
here are exact, or follow a fixed tree.

A matrix product is exact, and so the same in any order of addition, where both operands are rounded to a grid. An array
"of b bits" holds multiples of a step s with absolute values of at most 2**b s; s is a power of two. A product of two
such arrays, of b and c bits, sums n terms that are multiples of s t of at most 2**(b + c) s t. Float64 holds every
integer up to 2**53, so no partial sum is rounded while b + c + log2(n) <= 53, and BLAS may add them in any order, with
any number of threads, with fused multiply-adds or without.
"""

import math
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64s = NDArray[np.float64]

LN2_HIGH = float.fromhex("0x1.62e42feep-1")  # 32 bits, so that its product with an exponent is exact
LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")  # the rest of ln 2
LOG2_E = float.fromhex("0x1.71547652b82fep+0")
SQRT_HALF = float.fromhex("0x1.6a09e667f3bcdp-1")
TABLE_STEPS, TABLE_MAX = 1024, 32  # of `approximate_sigmoid`: entries per unit, and where the table ends
EXP_MIN, EXP_MAX = -746.0, 710.0  # exp is 0 below and infinity above

EXACT_BITS = 53  # float64 holds every integer of absolute value up to 2**53
MAX_VALUE = 2.0**64  # larger numbers become NaN: training has diverged, and products could overflow in one order only
MIN_EXPONENT = -400  # the step grows no finer, for products could underflow

# P(z), highest power first: r (exp(r) + 1) / (exp(r) - 1) = 2 + z P(z) for z = r**2, |r| <= ln 2 / 2, error < 2**-59
EXP_COEFFICIENTS = (
    4.13813679705723846039e-08,
    -1.65339022054652515390e-06,
    6.61375632143793436117e-05,
    -2.77777777770155933842e-03,
    1.66666666666666019037e-01,
)
# L(z), highest power first: log(1 + f) = 2 s + s z L(z) for s = f / (2 + f), z = s**2, error < 2**-58
LOG_COEFFICIENTS = (
    1.479819860511658591e-01,
    1.531383769920937332e-01,
    1.818357216161805012e-01,
    2.222219843214978396e-01,
    2.857142874366239149e-01,
    3.999999999940941908e-01,
    6.666666666666735130e-01,
)


def exp(x: ArrayLike) -> Float64s:
    """Return e to the power of each element, within 1 unit in the last place; shape as `x`.

    x = k ln 2 + r with an integer k and |r| <= ln 2 / 2; exp(x) = 2**k exp(r).
    """
    with np.errstate(all="ignore"):  # NaN stays NaN; 0 and infinity beyond float64's range
        clipped = np.maximum(np.minimum(np.asarray(x, np.float64), EXP_MAX), EXP_MIN)
        k = np.rint(clipped * LOG2_E)
        high, low = clipped - k * LN2_HIGH, k * LN2_LOW
        r = high - low
        squared = r * r
        c = r - squared * _polynomial(squared, EXP_COEFFICIENTS)
        mantissa = 1.0 - ((low - (r * c) / (2.0 - c)) - high)
        return np.asarray(np.ldexp(mantissa, k.astype(np.int32)))


def log(x: ArrayLike) -> Float64s:
    """Return the natural logarithm of each element, within 1 unit in the last place; shape as `x`.

    -infinity at 0, NaN below. x = 2**k (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2); log(x) = k ln 2 + log(1 + f).
    """
    values = np.asarray(x, np.float64)
    with np.errstate(all="ignore"):
        mantissa, exponent = np.frexp(values)
        small = mantissa < SQRT_HALF
        f = np.where(small, mantissa + mantissa, mantissa) - 1.0
        k = (exponent - small).astype(np.float64)
        s = f / (2.0 + f)
        squared = s * s
        half_square = (0.5 * f) * f
        tail = s * (half_square + squared * _polynomial(squared, LOG_COEFFICIENTS))
        result = k * LN2_HIGH - ((half_square - (tail + k * LN2_LOW)) - f)
    result = np.where(values == 0.0, -np.inf, result)
    result = np.where(values == np.inf, np.inf, result)
    return np.where(values < 0.0, np.nan, result)


def log1p(x: ArrayLike) -> Float64s:
    """Return log(1 + x) for each x >= 0, within 2 units in the last place also for small x; shape as `x`.

    log(w) for the rounded w = 1 + x, and the first-order correction for what the rounding left out.
    """
    values = np.asarray(x, np.float64)
    w = 1.0 + values
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        left_out = (values - (w - 1.0)) / w
    return log(w) + np.where(w == np.inf, 0.0, left_out)


def softplus(x: ArrayLike) -> Float64s:
    """Return log(1 + exp(x)) without overflow, within 2 units in the last place; shape as `x`.

    The cross-entropy of a logit `x` whose label is 0.
    """
    values = np.asarray(x, np.float64)
    return np.maximum(values, 0.0) + log1p(exp(-np.abs(values)))


def sigmoid(x: ArrayLike) -> Float64s:
    """Return 1 / (1 + exp(-x)) for each element, within 3 units in the last place; shape as `x`."""
    values = np.asarray(x, np.float64)
    small = exp(-np.abs(values))
    return np.where(values >= 0.0, 1.0, small) / (1.0 + small)


def approximate_sigmoid(x: Float64s) -> Float64s:
    """Return the logistic function of each element with an error of at most 2e-8, in a fifth of the time.

    Linear interpolation from the nearest entry of a table of `sigmoid`; the error is h**2 / 8 times the largest second
    derivative, 0.0963, for entries h = 2**-10 apart.
    """
    values, slopes = _sigmoid_table()
    # a number too large for an integer becomes another one on another processor, so limits come before the index
    scaled = np.maximum(np.minimum(x, TABLE_MAX), -TABLE_MAX)
    scaled *= TABLE_STEPS
    nearest = np.rint(scaled)
    scaled -= nearest
    nearest += TABLE_STEPS * TABLE_MAX
    indices = nearest.astype(np.intp)
    scaled *= slopes.take(indices, mode="clip")  # any entry for NaN, which `scaled` keeps
    scaled += values.take(indices, mode="clip")
    return scaled


@cache
def _sigmoid_table() -> tuple[Float64s, Float64s]:
    """Return values and slopes of the logistic function from -32 to 32; beyond, it is 0 or 1 up to 1e-14."""
    values = sigmoid(np.arange(-TABLE_STEPS * TABLE_MAX, TABLE_STEPS * TABLE_MAX + 1) / TABLE_STEPS)
    return values, values * (1.0 - values) / TABLE_STEPS


def _polynomial(x: Float64s, coefficients: tuple[float, ...]) -> Float64s:
    """Evaluate a polynomial by Horner's scheme, highest power first."""
    result = x * coefficients[0]
    for coefficient in coefficients[1:-1]:
        result += coefficient
        result *= x
    return result + coefficients[-1]


def exact_mean(values: NDArray[np.floating]) -> float:
    """Return the mean of values of shape (n,): the exact sum, rounded once, divided by n; the order does not matter.

    `math.fsum`: Shewchuk, Adaptive Precision Floating-Point Arithmetic, 1997.
    """
    return math.fsum(values.tolist()) / len(values)


def tree_sum(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum over the first axis, of shape (...) for values of shape (n, ...), n >= 1.

    The second half is added to the first, then the second half of the sums to their first, until one row is left:
    every addition is an element-wise operation of its own, and their order depends on n alone. The error is at most
    ceil(log2(n)) roundings of the sum of absolute values (Higham, The Accuracy of Floating Point Summation, 1993).
    """
    n = len(values)
    sums = values[: n - n // 2].copy()
    sums[: n // 2] += values[n - n // 2 :]
    n = len(sums)
    while n > 1:
        half = n // 2
        sums[:half] += sums[n - half : n]
        n -= half
    return np.asarray(sums[0])


@cache
def bits_left(bits: int, n_terms: int) -> int:
    """Return the bits that one operand of an exact product may have, where the other has `bits`.

    Args:
        bits: of the other operand.
        n_terms: how many products are summed, at least 1.
    """
    return EXACT_BITS - bits - (n_terms - 1).bit_length()


def round_to_bits(
    values: NDArray[np.float64], bits: int, axis: int | None = None, out: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return `values` rounded to `bits` bits, half to even; shape as `values`, which must not be empty.

    The step is 2**(e - bits) for the smallest e with all absolute values below 2**e, so the error is at most
    2**-bits of the largest absolute value. The maximum does not depend on the order, and adding and subtracting
    1.5 * 2**52 steps rounds to a whole number of steps.

    Args:
        values: any shape. NaN, infinity and numbers from 2**64 make NaN of all that share their step.
        bits: at most 51.
        axis: None for one step for all; 0 or 1, for two dimensions, for a step for each maximum over this axis.
        out: where to write the result, of its shape.
    """
    rounded = np.empty(values.shape) if out is None else out
    peaks = np.maximum.reduce(np.abs(values, out=rounded), axis=axis)
    offsets: float | NDArray[np.float64]
    if axis is None:
        offsets = _offset(float(peaks), bits)
    else:
        offsets = np.expand_dims(np.array([_offset(peak, bits) for peak in peaks.tolist()]), axis)
    np.add(values, offsets, out=rounded)
    rounded -= offsets
    return rounded


def _offset(peak: float, bits: int) -> float:
    """Return 1.5 * 2**52 steps for numbers up to `peak`, NaN where those are too large."""
    if not peak < MAX_VALUE:
        return math.nan
    exponent = max(math.frexp(peak)[1], MIN_EXPONENT)
    return math.ldexp(1.5, exponent + EXACT_BITS - 1 - bits)
