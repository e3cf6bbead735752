"""Correctly rounded square roots.

`torch.sqrt` on x86 calls MKL, which is wrong in the last bit for some values; NumPy uses the processor's instruction,
which IEEE 754 defines. On another device the root is taken there if a comparison with NumPy finds no difference,
and else on the CPU.
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor


def sqrt(x: Tensor) -> Tensor:
    """Return the square root of each element of a contiguous float32 tensor, correctly rounded."""
    if x.device.type == "cpu":
        return torch.from_numpy(np.sqrt(x.numpy()))
    if _rounds_correctly(x.device):
        return torch.sqrt(x)
    return torch.from_numpy(np.sqrt(x.cpu().numpy())).to(x.device)


@cache
def _rounds_correctly(device: torch.device) -> bool:
    """Return whether the device's root of each float32 in [1, 4), all mantissas, is that of NumPy."""
    bits = np.arange(0x3F800000, 0x40800000, dtype=np.int32)
    values = bits.view(np.float32)
    roots = torch.sqrt(torch.from_numpy(values).to(device)).cpu().numpy()
    return bool(np.array_equal(roots, np.sqrt(values)))
