"""Cases of the GPU's kernels for Triton's interpreter: they give the bytes of torch's operations, at extremes too.

    TRITON_INTERPRET=1 pytest tests/numerics/interpreted.py

Triton decides when it is imported, so `test_gpu_kernels` runs them in a process of their own.
"""

import os
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AlbertConfig, BertConfig, PretrainedConfig

from sentiment.encoder.exact import ExactTransformer, Layout, attention, attention_levels
from sentiment.encoder.fused_gpu import GpuTransformer
from sentiment.numerics import gpu_kernels
from sentiment.numerics.functions import Gelu, exp_levels, gelu_, layer_norm_
from sentiment.numerics.gpu_kernels import Operand
from sentiment.numerics.memory import Buffers
from sentiment.numerics.quantization import quantize_rows, quantize_rows_by_norm
from tests.encoder.conftest import load
from tests.numerics.test_kernels import BUFFERS, CPU, EPS, MAX_LEN, Numbers, input_outliers, linear, numbers
from tests.random_encoders import VOCAB_SIZE, random_model, save_encoder

assert os.environ.get("TRITON_INTERPRET") == "1", "these cases are for the interpreter"

examples = settings(max_examples=8, deadline=None)  # an interpreted kernel takes a second
n_rows_of = st.sampled_from([1, 3])


def values(operand: Operand) -> torch.Tensor:
    """Return the integers of an operand, with what exceeds 127."""
    integers = operand.integers.float()
    if operand.high is not None:
        integers += 16 * operand.high.float()
    if operand.outliers is not None:
        for row, (n, *pairs) in zip(integers, operand.outliers.tolist(), strict=True):
            assert n <= (len(pairs) // 2)
            for column, rest in zip(pairs[0 : 2 * n : 2], pairs[1 : 2 * n : 2], strict=True):
                row[column] += rest
    return integers


def assert_same(operand: Operand, expected: torch.Tensor, scales: torch.Tensor) -> None:
    """Compare integers and scales; where a scale has overflowed, int8 cannot hold what float32 does: not a number."""
    np.testing.assert_array_equal(operand.scales.numpy(), scales.squeeze(1).numpy())
    finite = torch.isfinite(operand.scales)
    assert torch.equal(values(operand)[finite], expected[finite])


@examples
@given(numbers, n_rows_of, st.sampled_from([1, 2, 3, 6, 8, 24, 32, 64, 96, 256, 384]), st.booleans())
def test_normalized(number: Numbers, n_rows: int, dim: int, has_norm: bool) -> None:
    x, weight, bias = number.tensor(n_rows, dim), torch.from_numpy(number.small(dim)), number.tensor(dim) + 0.0
    expected = layer_norm_(x.clone(), weight, bias, EPS, BUFFERS) if has_norm else x.clone()
    operand = gpu_kernels.normalized(x, (weight, bias) if has_norm else None, EPS, Buffers(CPU))
    assert torch.equal(x, expected) or bool(expected.isnan().any())
    assert_same(operand, *quantize_rows_by_norm(expected, BUFFERS))


@examples
@given(
    numbers, st.sampled_from([1, 65]), st.sampled_from([8, 24, 100]), st.sampled_from([8, 33, 70]),
    st.sampled_from(["erf", "tanh", None]), st.booleans(), st.booleans(), st.booleans(),
)  # fmt: skip
def test_linear(
    number: Numbers, n_rows: int, n_inputs: int, n_outputs: int, gelu: Gelu | None, has_residual: bool, has_high: bool,
    has_outliers: bool,
) -> None:  # fmt: skip
    low, high = (torch.from_numpy(number.rng.integers(-127, 128, (n_rows, n_inputs))) for _ in range(2))
    outliers, by_input, added = input_outliers(number, n_rows, n_inputs, n_outputs)
    scales, column_scales, bias = abs(number.floats(n_rows)), number.small(n_outputs), number.floats(n_outputs)
    weight = torch.from_numpy(by_input).long()
    sums = (low @ weight + (torch.from_numpy(added) if has_outliers else 0)).float()
    if has_high:
        sums += 16 * (high @ weight).float()
    expected = linear(sums.numpy(), scales, column_scales, bias)
    if gelu:
        gelu_(expected, gelu, BUFFERS)
    residual = number.tensor(n_rows, n_outputs) if has_residual else None
    if residual is not None:
        expected += residual
    operand = Operand(
        low.to(torch.int8), torch.from_numpy(scales), torch.from_numpy(outliers) if has_outliers else None,
        high.to(torch.int8) if has_high else None,
    )  # fmt: skip
    found = gpu_kernels.linear(
        operand, weight.t().to(torch.int8).contiguous(), torch.from_numpy(column_scales), torch.from_numpy(bias),
        torch.empty_like(expected), gelu=gelu, residual=residual,
    )  # fmt: skip
    assert torch.equal(found, expected) or bool(expected.isnan().any())


@examples
@given(numbers, n_rows_of, st.sampled_from([1, 7, 64, 100]), st.sampled_from([8, 12]))
def test_quantized(number: Numbers, n_rows: int, dim: int, bits: int) -> None:
    x = number.tensor(n_rows, dim)
    assert_same(gpu_kernels.quantized(x, bits, Buffers(CPU)), *quantize_rows(bits, x, BUFFERS))


@examples
@given(
    numbers,
    st.lists(st.integers(1, 40), min_size=1, max_size=3),
    st.sampled_from([1, 3]),
    st.sampled_from([4, 5, 64]),
)
def test_attended(number: Numbers, lengths: list[int], n_heads: int, head_dim: int) -> None:
    layout = Layout([[1] * length for length in lengths], CPU)
    x = number.tensor(len(layout.ids), 3 * n_heads * head_dim)
    operand = gpu_kernels.attended(
        x, torch.tensor([0, *accumulate(lengths)]), max(lengths), n_heads, attention_levels(head_dim, MAX_LEN, 8),
        exp_levels(MAX_LEN), Buffers(CPU),
    )  # fmt: skip
    integers, scales = quantize_rows(8, attention(x, layout, n_heads, MAX_LEN, 8, BUFFERS), BUFFERS)
    n = sum(lengths)
    assert_same(Operand(operand.integers[:n], operand.scales[:n]), integers[:n], scales[:n])
    assert not operand.integers[n:].any()


def test_what_is_not_a_number_stays_one() -> None:
    """Else a broken encoder would give features that look right."""
    x = torch.tensor([[1.0, float("nan"), 3.0, 4.0]])
    operand = gpu_kernels.normalized(x.clone(), None, EPS, Buffers(CPU))
    assert operand.scales.isnan().all()
    assert operand.outliers is not None
    assert operand.outliers[0, 0] == 0
    assert gpu_kernels.quantized(x, 8, Buffers(CPU)).scales.isnan().all()


SIZES: dict[str, Any] = {"vocab_size": VOCAB_SIZE, "intermediate_size": 64, "num_attention_heads": 2}
ENCODERS = {
    "albert": AlbertConfig(
        hidden_size=48, embedding_size=16, num_hidden_layers=1, hidden_act="gelu_new", max_position_embeddings=128,
        **SIZES,
    ),
    "bert": BertConfig(
        hidden_size=32, num_hidden_layers=1, hidden_act="gelu", max_position_embeddings=128, **SIZES
    ),
}  # fmt: skip
TEXTS = ["I love this dress, it fits!", "Bad.", "The color is not what I expected, and a seam came apart after a wash."]


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_encoder(random_model(ENCODERS[name], std=0.3), tmp_path)
    vectors = {}
    for choice in ("always", "never"):
        monkeypatch.setenv("SENTIMENT_KERNELS", choice)
        encoder = load(folder, "int8", "mean+max")
        vectors[choice] = encoder.encode(TEXTS)
        assert isinstance(encoder.model, ExactTransformer)
        assert encoder.model.has_kernels == (choice == "always")
    assert vectors["always"].tobytes() == vectors["never"].tobytes()


def test_kernels_that_give_other_bytes_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_encoder(random_model(ENCODERS["bert"], std=0.3), tmp_path)
    monkeypatch.setenv("SENTIMENT_KERNELS", "never")
    expected = load(folder, "int8", "mean").encode(TEXTS)
    monkeypatch.setenv("SENTIMENT_KERNELS", "always")
    monkeypatch.setattr(GpuTransformer, "hidden", lambda _, layout, __: torch.zeros(len(layout.ids), 32))
    encoder = load(folder, "int8", "mean")
    assert encoder.encode(TEXTS).tobytes() == expected.tobytes()
    assert isinstance(encoder.model, ExactTransformer)
    assert not encoder.model.has_kernels


def test_an_encoder_of_other_widths_is_computed_by_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTIMENT_KERNELS", "always")
    config: PretrainedConfig = BertConfig(
        hidden_size=40, num_hidden_layers=1, max_position_embeddings=128, **SIZES
    )  # 5 * 8
    encoder = load(save_encoder(random_model(config, std=0.3), tmp_path), "int8", "mean")
    encoder.encode(TEXTS)
    assert isinstance(encoder.model, ExactTransformer)
    assert not encoder.model.has_kernels
