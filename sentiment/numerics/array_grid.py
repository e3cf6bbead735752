"""Rounding to a grid, so that matrix products of NumPy arrays are exact and so the same in any order of addition.

    from sentiment.numerics.array_grid import bits_left, round_to_bits

An array "of b bits" holds multiples of a step s with absolute values of at most 2**b s; s is a power of two. A product
of two such arrays, of b and c bits, sums n terms that are multiples of s t of at most 2**(b + c) s t. Float64 holds
every integer up to 2**53, so no partial sum is rounded while b + c + log2(n) <= 53, and BLAS may add them in any
order, with any number of threads, with fused multiply-adds or without.
"""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

EXACT_BITS = 53  # float64 holds every integer of absolute value up to 2**53
MAX_VALUE = 2.0**64  # larger numbers become NaN: training has diverged, and products could overflow in one order only
MIN_EXPONENT = -400  # the step grows no finer, for products could underflow


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
