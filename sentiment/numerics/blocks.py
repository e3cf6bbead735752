"""Blocks of rows that stay in a processor's cache while several operations pass over them.

An elementwise operation on 25 MB waits for memory; a dozen on one block after another do not. Rows do not depend on
each other, so that the result is the same.
"""

from collections.abc import Iterator

from torch import Tensor

BLOCK = 2**19  # numbers: 2 MB. Half a megabyte costs more in starting operations than it saves (benchmarks/TRIED.md)


def row_blocks(matrix: Tensor) -> Iterator[slice]:
    """Yield the slices of a matrix's rows, block by block; all rows in one on a GPU, which has other limits."""
    n_rows, n_columns = matrix.shape
    step = max(1, BLOCK // n_columns) if matrix.device.type == "cpu" else n_rows
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))
