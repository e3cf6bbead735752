"""exp and GELU against float64, roots against NumPy."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from sentiment.numerics.functions import Gelu, exp_, gelu_
from sentiment.numerics.memory import Buffers
from sentiment.numerics.quantization import sqrt

BUFFERS = Buffers(torch.device("cpu"))


def check_exp(values: list[float]) -> None:
    x = torch.tensor(values, dtype=torch.float32)
    expected = np.exp(x.double().numpy())
    unit = np.spacing(expected.astype(np.float32)).astype(np.float64)
    assert (np.abs(exp_(x, BUFFERS).double().numpy() - expected) <= 2 * unit).all()


@settings(deadline=None)
@given(st.lists(st.floats(-87, 88, width=32), min_size=1, max_size=50))
def test_exp_is_within_two_units_in_the_last_place(values: list[float]) -> None:
    check_exp(values)


def test_exp_on_a_dense_grid() -> None:
    check_exp(np.linspace(-87, 88, 1_000_001).tolist())


def test_exp_of_zero_is_one() -> None:
    assert exp_(torch.zeros(3), BUFFERS).tolist() == [1, 1, 1]


def check_gelu(kind: Gelu, values: list[float]) -> None:
    x = torch.tensor([values], dtype=torch.float32)
    wide = x.double().numpy()
    cdf = ndtr(wide) if kind == "erf" else 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)))
    assert np.abs(gelu_(x, kind, BUFFERS).double().numpy() - wide * cdf).max() <= 1e-6


@pytest.mark.parametrize("kind", ["erf", "tanh"])
@settings(deadline=None)
@given(values=st.lists(st.floats(-16, 16, width=32), min_size=1, max_size=50))
def test_gelu_is_within_a_millionth(kind: Gelu, values: list[float]) -> None:
    check_gelu(kind, values)


@pytest.mark.parametrize("kind", ["erf", "tanh"])
def test_gelu_on_a_dense_grid(kind: Gelu) -> None:
    check_gelu(kind, np.linspace(-16, 16, 1_000_001).tolist())


@settings(deadline=None)
@given(st.lists(st.floats(0, 2.0**100, width=32), min_size=1, max_size=50))
def test_root_is_correctly_rounded(values: list[float]) -> None:
    x = torch.tensor(values, dtype=torch.float32)
    expected = [np.float32(math.sqrt(value)) for value in x.tolist()]  # of a float32, rounded twice without harm
    assert sqrt(x).tolist() == expected
