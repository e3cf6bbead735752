"""Products of 16-bit integers and 8-bit weights by multiply-adds, against NumPy's in 64 bits."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sentiment.numerics import multiply_add
from sentiment.numerics.memory import Buffers
from sentiment.numerics.products import fastest, operand_product
from tests.project import ROOT

needs_instruction = pytest.mark.skipif(not multiply_add.has_instruction(), reason="this processor has no AVX2")
BUFFERS = Buffers(torch.device("cpu"))


@needs_instruction
@settings(max_examples=40, deadline=None)
@given(
    n_rows=st.sampled_from([6, 7, 11, 64, 96, 97, 101, 200]),
    n_inputs=st.sampled_from([2, 6, 40, 256, 3_072]),
    n_outputs=st.sampled_from([16, 48, 256]),
    size=st.sampled_from([1, 127, 1_652, 5_000]),  # 1,652 is the largest that a row of 6,096 has by its norm
    kind=st.sampled_from(["any", "largest", "smallest", "signs"]),
    seed=st.integers(0, 2**31),
)
def test_sums_are_those_of_64_bits(n_rows: int, n_inputs: int, n_outputs: int, size: int, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, columns = rng.integers(-size, size + 1, (n_rows, n_inputs)), rng.integers(-127, 128, (n_inputs, n_outputs))
    if kind == "signs":
        x, columns = np.where(x < 0, -size, size), np.where(columns < 0, -127, 127)
    elif kind != "any":
        x[:] = size if kind == "largest" else -size
        columns[:] = 127
    sums = torch.full((n_rows, n_outputs), -1, dtype=torch.int32)
    product = multiply_add.multiply_add_product(torch.from_numpy(columns).float())
    product.multiply(torch.from_numpy(x).short(), sums, BUFFERS)
    assert np.array_equal(sums.numpy(), x @ columns)


def test_shapes_that_do_not_fit_are_refused_or_stay_float32() -> None:
    for shape in ((3, 16), (2, 24)):
        with pytest.raises(ValueError, match="expected"):
            multiply_add.multiply_add_product(torch.ones(shape))
        product = operand_product(torch.ones(shape).t(), has_outliers=True)
        assert multiply_add.faster_product(product) is product
    with pytest.raises(ValueError, match="5 rows; expected at least 6"):
        multiply_add.multiply_add_product(torch.ones((2, 16))).multiply(
            torch.ones((5, 2), dtype=torch.int16), torch.empty((5, 16), dtype=torch.int32), BUFFERS
        )


def is_used(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from sentiment.numerics.multiply_add import is_used; print(is_used())"],
        cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_a_processor_without_the_instruction_multiplies_floats() -> None:
    generic = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    assert is_used(**generic).stdout == "False\n"
    assert "EncoderError: SENTIMENT_INT8 is 'multiply-add'" in is_used(**generic, SENTIMENT_INT8="multiply-add").stderr


@needs_instruction
def test_the_choice_can_be_overridden() -> None:
    assert is_used(SENTIMENT_INT8="multiply-add").stdout == "True\n"
    for other in ("float32", "native"):
        assert is_used(SENTIMENT_INT8=other).stdout == "False\n"


def test_the_way_that_takes_less_time_is_taken() -> None:
    def slow() -> None:
        sum(range(20_000))

    assert fastest({"slow": slow, "fast": int}) == "fast"
    assert fastest({"fast": int, "slow": slow}) == "fast"
