"""Scratch memory that is allocated once and used again, for memory fresh from the system costs a page fault each 4 KB.

buffers = Buffers(torch.device("cpu"))
scores = buffers.get("scores", (8, 128, 128))
"""

from math import prod

import torch
from torch import Tensor


class Buffers:
    """Tensors by name and dtype, grown to the largest size that was asked for.

    A name stands for one piece of memory: asking again overwrites what the first caller got. Not for threads.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._memory: dict[tuple[str, torch.dtype], Tensor] = {}

    def get(self, name: str, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
        """Return a contiguous tensor of `shape` whose values are undefined."""
        size = prod(shape)
        memory = self._memory.get((name, dtype))
        if memory is None or len(memory) < size:
            memory = torch.empty(size, dtype=dtype, device=self.device)
            self._memory[name, dtype] = memory
        return memory[:size].view(shape)
