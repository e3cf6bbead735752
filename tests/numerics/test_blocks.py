"""Blocks of rows: every row once, and the same bits as without blocks."""

import pytest
import torch

from sentiment.numerics import memory
from sentiment.numerics.functions import gelu_
from sentiment.numerics.memory import Buffers, row_blocks
from sentiment.numerics.quantization import quantize_rows


@pytest.mark.parametrize(("shape", "n_blocks"), [((10, 4), 5), ((9, 4), 5), ((3, 100), 3), ((0, 4), 0)])
def test_each_row_is_in_one_block(shape: tuple[int, int], n_blocks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "BLOCK", 8)
    found = list(row_blocks(torch.empty(shape)))
    assert [row for rows in found for row in range(rows.start, rows.stop)] == list(range(shape[0]))
    assert len(found) == n_blocks


@pytest.mark.parametrize("block", [64, 1_000])
def test_blocks_change_no_bit(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn((100, 64), generator=torch.Generator().manual_seed(0))
    buffers = Buffers(torch.device("cpu"))

    def results() -> list[bytes]:
        integers, scales = quantize_rows(8, x, buffers)
        tensors = (gelu_(x.clone(), "erf", buffers), integers, scales)
        return [tensor.numpy().tobytes() for tensor in tensors]

    expected = results()
    monkeypatch.setattr(memory, "BLOCK", block)
    assert results() == expected
