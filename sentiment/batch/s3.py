"""S3 as `Storage`."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO

from sentiment.batch.errors import OutputError
from sentiment.batch.storage import FileInfo
from sentiment.common.errors import InputError
from sentiment.storage.s3 import MISSING, ObjectInfo, Objects, S3Error

RETRY_SECONDS = 120


class _Inputs(Objects):
    """Objects whose content is input: what is wrong with one of them stops its units only."""

    def read(self, name: str, **request: str) -> bytes:
        """Return the content of an object; raises InputError where it is gone or has changed."""
        try:
            return super().read(name, **request)
        except S3Error as error:
            if error.code:
                raise InputError(str(error)) from None
            raise


class S3Storage:
    """Objects of S3."""

    def __init__(self, root: str) -> None:
        self._objects, self._inputs = Objects(RETRY_SECONDS), _Inputs(RETRY_SECONDS)

    def files(self, folder: str) -> Iterator[FileInfo]:
        """Yield the objects below `folder/` by key, or the object of this name."""
        for found in self._objects.list(folder):
            yield FileInfo(found.name, found.size, found.etag)

    def open(self, file: FileInfo) -> IO[bytes]:
        """Open an object for reading and seeking; reading raises InputError where it is gone or has changed."""
        return self._inputs.open(ObjectInfo(file.name, file.size, file.etag))

    def tail(self, name: str, size: int) -> bytes | None:
        """Return at most the last `size` bytes; None where there is no such object."""
        try:
            return self._objects.read(name, Range=f"bytes=-{size}")
        except S3Error as error:
            if error.code in {*MISSING, "InvalidRange", "416"}:  # an empty object has no range
                return None
            raise

    def put(self, name: str, data: bytes) -> None:
        """Write an object by one request; raises OutputError."""
        try:
            self._objects.put(name, data)
        except S3Error as error:
            raise OutputError(str(error)) from None

    def put_file(self, name: str, path: Path) -> None:
        """Write an object with the content of a local file by one request; raises OutputError."""
        try:
            self._objects.put_file(name, path)
        except S3Error as error:
            raise OutputError(str(error)) from None

    def delete(self, name: str) -> None:
        """Remove an object; S3 does not mind where it is not there."""
        self._objects.delete(name)
