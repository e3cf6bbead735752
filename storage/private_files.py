"""Files and folders that only their owner may read: mode 0600 and 0700, from the moment they exist."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sentiment.common.files import write_text

PRIVATE_UMASK = 0o077  # no permissions for group and others


@contextmanager
def private_umask() -> Iterator[None]:
    """Create files and folders without permissions for others while the block runs; not for threads."""
    previous = os.umask(PRIVATE_UMASK)
    try:
        yield
    finally:
        os.umask(previous)


def write_private(path: Path, text: str) -> None:
    """Write a text file, atomically, that only its owner may read."""
    with private_umask():
        write_text(path, text)


def make_private_folder(path: Path) -> None:
    """Create a folder, or take the permissions for others from one that exists."""
    with private_umask():
        path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
