"""Use memory and threads sparingly: buffers that are used again, blocks that stay in the cache, one thread of torch.

    buffers = Buffers(torch.device("cpu"))
    scores = buffers.get("scores", (8, 128, 128))

Memory fresh from the system costs a page fault each 4 KB. An elementwise operation on 25 MB waits for memory; a dozen
on one block of rows after another do not.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from typing import Any, TypeVar

import torch
from torch import Tensor

MAX_VIEWS = 4_096  # that are kept: some batches come again and again, and a view costs as much as a short operation
BLOCK = 2**19  # numbers: 2 MB. Half a megabyte costs more in starting operations than it saves (benchmarks/TRIED.md)

T = TypeVar("T")


class Buffers:
    """Tensors by name and dtype, grown to the largest size that was asked for.

    A name stands for one piece of memory: asking again overwrites what the first caller got. Not for threads.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._memory: dict[tuple[str, torch.dtype], Tensor] = {}
        self._views: dict[tuple[str, tuple[int, ...], torch.dtype, Callable[[Tensor], Any]], Any] = {}

    def get(self, name: str, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
        """Return a contiguous tensor of `shape` whose values are undefined."""
        return self.views(name, shape, whole, dtype)

    def views(
        self, name: str, shape: tuple[int, ...], make: Callable[[Tensor], T], dtype: torch.dtype = torch.float32
    ) -> T:
        """Return `make` of the tensor that `get` returns: views of it, which are made once and kept."""
        key = (name, shape, dtype, make)
        if key not in self._views:
            if len(self._views) >= MAX_VIEWS:
                self._views.clear()
            self._views[key] = make(self._allocated(name, prod(shape), dtype).view(shape))
        views: T = self._views[key]
        return views

    def _allocated(self, name: str, size: int, dtype: torch.dtype) -> Tensor:
        """Return `size` elements of the memory of a name."""
        memory = self._memory.get((name, dtype))
        if memory is None or len(memory) < size:
            self._views = {key: views for key, views in self._views.items() if (key[0], key[2]) != (name, dtype)}
            memory = self._memory[name, dtype] = torch.empty(size, dtype=dtype, device=self.device)
        return memory[:size]


def whole(tensor: Tensor) -> Tensor:
    """Return the tensor itself."""
    return tensor


def row_blocks(matrix: Tensor) -> Iterator[slice]:
    """Yield the slices of a matrix's rows, block by block; all rows in one on a GPU, which has other limits."""
    n_rows, n_columns = matrix.shape
    step = max(1, BLOCK // n_columns) if matrix.device.type == "cpu" else n_rows
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def use_threads(n_threads: int) -> None:
    """Let torch compute with so many threads in the calling thread, and in threads that start later.

    A thread takes over the number of the process when it first asks for its own, so it has to ask before it gets one.
    """
    torch.get_num_threads()
    torch.set_num_threads(n_threads)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute with one thread for a while."""
    before = torch.get_num_threads()
    use_threads(1)
    try:
        yield
    finally:
        use_threads(before)
