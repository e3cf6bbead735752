"""Names in, bytes out: the five operations that a run needs of a local folder or of S3.

    storage_for("s3://bucket/in").files("s3://bucket/in")      what lies below a folder
    storage_for("labels").put("labels/a.parquet", data)        complete under its name, or not there

fsspec could do both, but its `s3fs` opens multipart uploads that a killed process leaves behind, and resolves endpoint
and keys itself; here S3 is reached by the client of `sentiment.storage.s3`, as in every other command.
"""

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from sentiment.batch.errors import OutputError
from sentiment.common.errors import InputError

S3 = "s3://"
TEMPORARY = "_temporary"  # folder below a local output for files that are being written
MAX_TEMPORARY_AGE = 3_600  # seconds after which such a file belongs to a killed process


@dataclass(frozen=True)
class FileInfo:
    """A file or object.

    Attributes:
        name: local path or s3:// URL.
        size: in bytes.
        etag: changes when the content does: that of S3, else time of change and size.
    """

    name: str
    size: int
    etag: str


class Storage(Protocol):
    """What `LocalStorage` and `S3Storage` offer; every name is a path or s3:// URL."""

    def files(self, folder: str) -> Iterator[FileInfo]:
        """Yield the files below a folder, or the file of this name."""

    def open(self, file: FileInfo) -> IO[bytes]:
        """Open a file for reading and seeking; raises InputError where it is gone or another than `file`."""

    def tail(self, name: str, size: int) -> bytes | None:
        """Return at most the last `size` bytes; None where there is no such file."""

    def put(self, name: str, data: bytes) -> None:
        """Write a file in one step; raises OutputError."""

    def put_file(self, name: str, path: Path) -> None:
        """Write a file with the content of a local one in one step; raises OutputError."""

    def delete(self, name: str) -> None:
        """Remove a file where it is there."""


class LocalStorage:
    """Files of this machine, or of a file system that machines share.

    Args:
        root: the folder of the outputs, where `put` keeps its temporary files.
    """

    def __init__(self, root: str) -> None:
        self._temporary = Path(root) / TEMPORARY

    def files(self, folder: str) -> Iterator[FileInfo]:
        """Yield the files below a folder by name, or the file of this name."""
        if Path(folder).is_file():
            yield _info(folder, Path(folder).stat())
        for parent, folders, names in os.walk(folder):
            folders.sort()
            for name in sorted(names):
                path = f"{parent.rstrip('/')}/{name}"
                with suppress(FileNotFoundError):  # removed since it was listed
                    yield _info(path, Path(path).stat())

    def open(self, file: FileInfo) -> IO[bytes]:
        """Open a file for reading and seeking; raises InputError where it is gone or another than `file`."""
        try:
            opened = Path(file.name).open("rb")  # noqa: SIM115 - the caller closes it
        except OSError as error:
            raise InputError(f"{file.name}: {(error.strerror or str(error)).lower()}") from None
        if _info(file.name, os.fstat(opened.fileno())).etag != file.etag:
            opened.close()
            raise InputError(f"{file.name}: has changed since it was listed; run again")
        return opened

    def tail(self, name: str, size: int) -> bytes | None:
        """Return at most the last `size` bytes; None where there is no such file."""
        try:
            with Path(name).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - size))
                return file.read()
        except FileNotFoundError:
            return None

    def put(self, name: str, data: bytes) -> None:
        """Write a file beside, then rename it; raises OutputError.

        Not by `sentiment.common.files.atomic`, which knows its own leftovers by process number: on a file system that
        machines share, another machine's process may have that number.
        """
        self._temporary.mkdir(parents=True, exist_ok=True)
        partial = self._temporary / f"{uuid.uuid4().hex}.partial"
        try:
            try:
                partial.write_bytes(data)
                Path(name).parent.mkdir(parents=True, exist_ok=True)
                partial.replace(name)
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{name}: {error.strerror or error}; free it and run the same command again") from None

    def put_file(self, name: str, path: Path) -> None:
        """Write a file with the content of a local one, then rename it; raises OutputError."""
        self.put(name, path.read_bytes())

    def delete(self, name: str) -> None:
        """Remove a file where it is there."""
        Path(name).unlink(missing_ok=True)

    def remove_leftovers(self) -> None:
        """Remove temporary files of killed processes, older than `MAX_TEMPORARY_AGE`, and their folder when empty."""
        with suppress(OSError):  # another run removes them too, or is writing one
            for path in self._temporary.iterdir():
                if time.time() - path.stat().st_mtime > MAX_TEMPORARY_AGE:
                    path.unlink()
            self._temporary.rmdir()


def _info(name: str, stat: os.stat_result) -> FileInfo:
    return FileInfo(name, stat.st_size, f"{stat.st_mtime_ns:x}-{stat.st_size:x}")


def storage_for(root: str) -> Storage:
    """Return the storage of a folder or s3:// prefix; raises StorageError where S3 is not set up."""
    if root.startswith(S3):
        from sentiment.batch.s3 import S3Storage  # 1-2 s with boto3

        return S3Storage(root)
    return LocalStorage(root)
