"""How many threads torch computes with in one thread of a program, while others have another number.

use_threads(1)
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


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
