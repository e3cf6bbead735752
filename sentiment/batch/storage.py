"""Read and write the files of a run: in a local folder, or on S3."""

import errno
import math
import os
import stat
import time
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sentiment.common.errors import InputError, StorageError
from sentiment.storage.s3 import MISSING, S3, FileInfo, Objects, S3Error

PARTIAL = ".partial"  # ending of hidden files that are being written
MARKER = ".run"  # ending of the hidden file that is there while a driver runs
# seconds after which a hidden file belongs to a killed process; a run may take weeks
MAX_AGES = {PARTIAL: 3_600, MARKER: 30 * 86_400}
RETRY_SECONDS = 120  # for which a request to S3 is repeated: a run of hours should outlive a restart of the server
# answers of S3 that concern one object; any other, such as expired keys, would be the answer for the next one too
CODES_OF_ONE_OBJECT = {*MISSING, "PreconditionFailed", "412", "AccessDenied", "403", "InvalidObjectState"}


@dataclass(frozen=True)
class BadEntry:
    """An entry of a folder that cannot be read, and why."""

    name: str
    reason: str
    is_folder: bool = False


class LocalStorage:
    """Files of this machine, or of a file system that machines share; writing raises StorageError."""

    def list(self, folder: str) -> Iterator[FileInfo | BadEntry]:
        """Yield the files below a folder by name, or the file of this name; links to folders are not followed."""
        if Path(folder).is_file():
            yield _info(folder, Path(folder).stat())
        errors: deque[OSError] = deque()
        for parent, folders, names in os.walk(folder, onerror=errors.append):
            folders.sort()
            for name in sorted(names):
                if (entry := _entry(f"{parent.rstrip('/')}/{name}")) is not None:
                    yield entry
        for error in errors:
            if not isinstance(error, FileNotFoundError | NotADirectoryError):
                yield BadEntry(printable(str(error.filename)), (error.strerror or str(error)).lower(), is_folder=True)

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
        with _as_storage_error(name):
            if not Path(name).exists():
                return None
            with Path(name).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - size))
                return file.read()

    def put(self, name: str, data: bytes) -> None:
        """Write a hidden file beside, then rename it.

        Not by `sentiment.common.files.atomic`, which lists the folder for each file and tells leftovers by a lock: on a
        file system that machines share, a lock may be known to one machine alone.
        """
        path = Path(name).with_name(f".{uuid.uuid4().hex}{PARTIAL}")
        with _as_storage_error(name):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                path.write_bytes(data)
                path.replace(name)
            finally:
                path.unlink(missing_ok=True)

    def delete(self, name: str) -> None:
        """Remove a file where it is there."""
        with _as_storage_error(name):
            Path(name).unlink(missing_ok=True)

    @contextmanager
    def writable(self, folder: str) -> Iterator[str]:
        """Check that files can be written to a folder, which is made where it is missing.

        Yields a hidden file in it that is there until the block ends: workers that do not see this file write to
        another disk. Then hidden files of killed processes are removed, and the folder where it is still empty.
        """
        marker = Path(folder) / f".{uuid.uuid4().hex}{MARKER}"
        with _as_storage_error(folder):
            marker.parent.mkdir(parents=True, exist_ok=True)
            marker.write_bytes(b"")
        try:
            yield str(marker.absolute())
        finally:
            marker.unlink(missing_ok=True)
            for parent, _, names in os.walk(folder):
                for path in (Path(parent) / name for name in names if name.startswith(".")):
                    with suppress(OSError):  # another run removes it too
                        if time.time() - path.stat().st_mtime > MAX_AGES.get(path.suffix, math.inf):
                            path.unlink()
            with suppress(OSError):
                Path(folder).rmdir()


@contextmanager
def _as_storage_error(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        is_full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        advice = "free it and run the same command again" if is_full else "make it writable, or choose another --output"
        raise StorageError(f"{name}: {error.strerror or error}; {advice}") from None


def _entry(path: str) -> FileInfo | BadEntry | None:
    """Return a file; why it cannot be read; or None where it was removed since it was listed."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return BadEntry(printable(path), "its name is not UTF-8; rename it")
    try:
        found = Path(path).stat()
    except FileNotFoundError:
        return BadEntry(path, "a link to a file that does not exist") if Path(path).is_symlink() else None
    except OSError as error:
        return BadEntry(path, (error.strerror or str(error)).lower())
    return _info(path, found) if stat.S_ISREG(found.st_mode) else BadEntry(path, "is not a regular file")


def _info(name: str, found: os.stat_result) -> FileInfo:
    return FileInfo(name, found.st_size, f"{found.st_mtime_ns:x}-{found.st_size:x}")


def printable(text: str) -> str:
    """Return a text with escapes for its bytes that are not UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class S3Storage(Objects):
    """Objects of S3; what is wrong with one input stops its units only."""

    def __init__(self) -> None:
        super().__init__(RETRY_SECONDS)

    def read(self, name: str, **request: str) -> bytes:
        """Return the content of an object; raises InputError where it is gone or has changed."""
        try:
            return super().read(name, **request)
        except S3Error as error:
            if error.code in CODES_OF_ONE_OBJECT:
                raise InputError(str(error)) from None
            raise

    def tail(self, name: str, size: int) -> bytes | None:
        """Return at most the last `size` bytes; None where there is no such object."""
        try:
            return super().read(name, Range=f"bytes=-{size}")
        except S3Error as error:
            if error.code in {*MISSING, "InvalidRange", "416"}:  # an empty object has no range
                return None
            raise

    @contextmanager
    def writable(self, folder: str) -> Iterator[str]:
        """Check that objects can be written below a prefix. Every worker writes to the same S3."""
        self.check_writable(f"{folder}/_manifest.json")
        yield ""


Storage = LocalStorage | S3Storage


def storage_for(root: str) -> Storage:
    """Return the storage of a folder or s3:// prefix."""
    return S3Storage() if root.startswith(S3) else LocalStorage()
