"""Scratch memory that is allocated once and used again, for memory fresh from the system costs a page fault each 4 KB.

buffers = Buffers(torch.device("cpu"))
scores = buffers.get("scores", (8, 128, 128))
"""

from collections.abc import Callable
from math import prod
from typing import Any, TypeVar

import torch
from torch import Tensor

MAX_VIEWS = 4_096  # that are kept: some batches come again and again, and a view costs as much as a short operation

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
