"""A function that reads ranges in; a file that can be read and sought, for readers that want one, out."""

import io
from collections.abc import Callable
from typing import Any

BLOCK_SIZE = 8_388_608  # bytes of one request; most inputs are one block


class BlockFile(io.RawIOBase):
    """A file that reads itself in blocks of `BLOCK_SIZE`; the last two are kept.

    Args:
        read: returns the bytes from `start` up to `stop`.
        size: of the file, in bytes.
    """

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read, self._size, self._position = read, size, 0
        self._blocks: dict[int, bytes] = {}

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position and return it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read what one block has, into a buffer; return the number of bytes."""
        if self._position >= self._size:
            return 0
        number, offset = divmod(self._position, BLOCK_SIZE)
        data = self._block(number)[offset : offset + len(buffer)]
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            start = number * BLOCK_SIZE
            block = self._read(start, min(self._size, start + BLOCK_SIZE))
            self._blocks = dict([*self._blocks.items()][-1:])  # the one before: a footer, or the end of a record
            self._blocks[number] = block
        return self._blocks[number]
