"""Integer products against Python's integers, at the extremes and in between."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sentiment.common.errors import EncoderError
from sentiment.numerics.memory import Buffers
from sentiment.numerics.products import (
    ALL_ROWS,
    backend,
    exact_pieces,
    float32_product,
    float64_product,
    native8_product,
    native16_product,
    operand_product,
    outlier_product,
    product_of_12_bits,
    split_bytes,
)  # fmt: skip
from sentiment.numerics.quantization import quantize_rows_by_norm
from tests.project import ROOT

CPU = torch.device("cpu")
LEVELS = {8: 127, 16: 32_639}
MAKERS = {8: [float32_product], 16: [float64_product]}
if backend(CPU) == "native":
    MAKERS = {8: [float32_product, native8_product], 16: [float64_product, native16_product]}


def by_python(x: torch.Tensor, weight: torch.Tensor) -> list[list[int]]:
    columns = [[int(value) for value in row] for row in weight.tolist()]
    return [[sum(int(a) * b for a, b in zip(row, column, strict=True)) for column in columns] for row in x.tolist()]


@st.composite
def operands(draw: st.DrawFn, bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """x of shape (64, n_inputs) and a weight of shape (8, n_inputs), often at the largest integers."""
    n_inputs = draw(st.sampled_from([8, 64, 1_024, 1_032, 3_072]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    level = LEVELS[bits]
    tensors = []
    for n_rows in (64, 8):
        tensor = torch.randint(-level, level + 1, (n_rows, n_inputs), generator=generator)
        kind = draw(st.sampled_from(["any", "largest", "smallest", "signs"]))
        if kind == "signs":
            tensor = tensor.sign().clamp(min=0).mul(2).sub(1) * level
        elif kind != "any":
            tensor.fill_(level if kind == "largest" else -level)
        tensors.append(tensor.float())
    return tensors[0], tensors[1]


@settings(max_examples=15, deadline=None)
@given(st.data(), st.sampled_from([8, 16]))
def test_product_is_that_of_python_integers(data: st.DataObject, bits: int) -> None:
    x, weight = data.draw(operands(bits))
    expected = torch.tensor(by_python(x[:4], weight))
    for make in MAKERS[bits]:
        product = make(weight)(x, Buffers(CPU))(ALL_ROWS)
        assert torch.equal(product[:4], expected.to(product.dtype)), make.__name__


@pytest.mark.parametrize(
    ("size", "n_inputs", "lengths"),
    [
        (127, 1_040, [1_040]),
        (127, 1_041, [1_040, 1]),
        (127, 3_072, [1_040, 1_040, 992]),
        (43, 3_072, [3_072]),
        (0, 1, [1]),
    ],
)
def test_a_float_product_is_in_as_few_pieces_as_are_exact(size: int, n_inputs: int, lengths: list[int]) -> None:
    weight = torch.zeros((2, n_inputs))
    weight[1] = size
    pieces = exact_pieces(weight)
    assert [piece.stop - piece.start for piece in pieces] == lengths
    x = torch.full((1, n_inputs), 127.0)
    expected = torch.tensor([[0, 127 * size * n_inputs]]).float()  # rounded once where it exceeds 2^24
    assert torch.equal(float32_product(weight)(x, Buffers(CPU))(ALL_ROWS), expected)


@pytest.mark.skipif(len(MAKERS[8]) == 1, reason="this processor has no exact int8 product")
@pytest.mark.parametrize("bits", [8, 16])
def test_native_and_float_products_are_equal(bits: int) -> None:
    generator = torch.Generator().manual_seed(1)
    level = LEVELS[bits]
    x, weight = (
        torch.randint(-level, level + 1, (n, 3_072), generator=generator).float() for n in (192, 256)
    )  # fmt: skip
    by_float, native = (make(weight)(x, Buffers(CPU))(ALL_ROWS) for make in MAKERS[bits])
    assert torch.equal(by_float, native)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([64, 768, 6_096]), st.integers(0, 20))
def test_product_with_outliers_is_that_of_python_integers(seed: int, dim: int, n_outliers: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn((64, dim), generator=generator)
    for _ in range(n_outliers):
        row, column = (int(torch.randint(0, size, (1,), generator=generator)) for size in x.shape)
        x[row, column] = 10.0 * dim**0.5
    weight = torch.randint(0, 2, (8, dim), generator=generator).mul(2).sub(1).mul(127).float()
    integers, _ = quantize_rows_by_norm(x, Buffers(CPU))
    assert integers.abs().sum(1).max() * 127 < 2**24
    expected = torch.tensor(by_python(integers[:4], weight)).float()
    assert torch.equal(outlier_product(weight)(integers, Buffers(CPU))(ALL_ROWS)[:4], expected)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31))
def test_product_of_12_bits_is_that_of_python_integers(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(-2_032, 2_033, (64, 32), generator=generator).float()  # no sum exceeds 2^24
    weight = torch.randint(-127, 128, (8, 32), generator=generator).float()
    expected = torch.tensor(by_python(x[:4], weight)).float()
    assert torch.equal(product_of_12_bits(weight)(x, Buffers(CPU))(ALL_ROWS)[:4], expected)


@pytest.mark.parametrize("choice", ["auto", "float32"])
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_product_of_an_operand_is_that_of_python_integers(choice: str, data: st.DataObject) -> None:
    x, weight = data.draw(operands(8))
    with pytest.MonkeyPatch.context() as context:
        context.setenv("SENTIMENT_INT8", choice)
        backend.cache_clear()
        product = operand_product(weight, has_outliers=False)
    backend.cache_clear()
    assert product.columns.shape == (weight.shape[1], weight.shape[0])
    sums = torch.empty((len(x), len(weight)), dtype=product.sums_type)
    product.multiply(x.to(product.operand_type), sums, Buffers(CPU))
    assert torch.equal(sums[:4].double(), torch.tensor(by_python(x[:4], weight)).double())


@settings(deadline=None)
@given(st.lists(st.integers(-32_639, 32_639), min_size=1))
def test_two_bytes_give_the_integer(values: list[int]) -> None:
    x = torch.tensor([values], dtype=torch.float32)
    high, low = torch.empty(2, 1, len(values), dtype=torch.int8)  # so both are in [-128, 127]
    split_bytes(x, high, low, Buffers(CPU))
    assert torch.equal(256 * high.int() + low, x.int())


def backend_in_subprocess(**environment: str) -> subprocess.CompletedProcess[str]:
    program = "import torch; from sentiment.numerics.products import backend; print(backend(torch.device('cpu')))"
    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, env=os.environ | environment,
        check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.slow
def test_what_else_the_machine_does_changes_no_choice() -> None:
    """Four processes that start at once: on 2 cores, a few of them once found native products slow."""
    alone = backend_in_subprocess().stdout
    with ThreadPoolExecutor(4) as pool:
        together = [done.stdout for done in pool.map(lambda _: backend_in_subprocess(), range(4))]
    assert together == [alone] * 4


def test_native_products_can_be_refused() -> None:
    assert backend_in_subprocess(SENTIMENT_INT8="float32").stdout == "float32\n"


def test_saturating_int8_products_are_not_taken() -> None:
    """As on a processor with AVX2 and no int8 instructions."""
    assert backend_in_subprocess(ONEDNN_MAX_CPU_ISA="AVX2").stdout == "float32\n"


def test_unknown_backend_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    backend.cache_clear()
    monkeypatch.setenv("SENTIMENT_INT8", "fast")
    message = "SENTIMENT_INT8 is 'fast'; expected one of auto, native, multiply-add, float32"
    with pytest.raises(EncoderError, match=message):
        backend(CPU)
    backend.cache_clear()
