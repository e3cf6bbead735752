"""Open inputs and outputs as bytes: local files, s3:// objects, standard input and output; `.gz` is (de)compressed.

S3 is reached by `sentiment.storage.s3`.
"""

import errno
import gzip
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from tqdm import tqdm

from sentiment.common.errors import InputError, ParamsError
from sentiment.common.files import atomic
from sentiment.data.readers import GZIP, decompressed

STANDARD = "-"
S3 = "s3://"


@dataclass(frozen=True)
class InputFile:
    """An open input.

    Attributes:
        content: its bytes, decompressed.
        raw: its bytes as stored.
        size: of what is stored, in bytes; None where it is not known.
    """

    content: IO[bytes]
    raw: IO[bytes]
    size: int | None

    def position(self) -> int:
        """Return how many bytes of what is stored have been read."""
        # a text wrapper closes the file when the last line has been read
        return self.size or 0 if self.raw.closed else self.raw.tell()


@contextmanager
def progress(
    description: str, source: InputFile | None, is_hidden: bool | None = None
) -> Iterator[Callable[[int], object]]:
    """Show how much of an input is read: of its bytes, or in rows where its size is not known.

    Args:
        description: what stands before the bar.
        source: the input; None where it is no file.
        is_hidden: None shows the bar on a terminal only.

    Yields:
        What moves the bar, called with the number of rows so far.
    """
    size = source.size if source else None
    unit = {"unit": "B", "unit_scale": True, "unit_divisor": 1024} if size else {"unit": " rows"}
    with tqdm(desc=description, total=size, disable=is_hidden, **unit) as bar:
        yield lambda rows: bar.update((source.position() if source and size else rows) - bar.n)


@contextmanager
def reading(name: str) -> Iterator[InputFile]:
    """Open a local file, an s3:// object, or standard input (`-`).

    Raises:
        InputError: no such local file, or damaged gzip data.
        StorageError: S3 refuses.
    """
    with _raw(name) as raw:
        has_size = name.startswith(S3) or (name != STANDARD and Path(name).is_file())
        size = raw.seek(0, os.SEEK_END) if has_size else None
        if size is not None:
            raw.seek(0)
        with decompressed(name, raw) as content:
            yield InputFile(content, raw, size)


@contextmanager
def _raw(name: str) -> Iterator[IO[bytes]]:
    if name == STANDARD:
        if not _is_open(sys.stdin, lambda descriptor: os.read(descriptor, 0)):
            raise InputError("-: standard input is closed")
        yield sys.stdin.buffer
    elif name.startswith(S3):
        from sentiment.storage.s3 import Objects

        objects = Objects()
        with objects.open(objects.info(name)) as file:
            yield file
    else:
        path = Path(name)
        if path.is_dir() or not path.exists():
            problem = "is a folder" if path.is_dir() else "no such file"
            raise InputError(f"{name}: {problem}; expected a CSV, TSV, JSON, Parquet or text file")
        with path.open("rb") as file:
            yield file


def check_output(name: str) -> None:
    """Raise ParamsError where standard output is closed, or a folder has the name of an output."""
    if name == STANDARD and not _is_open(sys.stdout, lambda descriptor: os.write(descriptor, b"")):
        raise ParamsError("-: standard output is closed; use --output FILE")
    if not name.startswith(S3) and Path(name).is_dir():
        raise ParamsError(f"{name}: is a folder; expected the name of a file to write")


def _is_open(stream: IO[str], use: Callable[[int], object]) -> bool:
    """Return whether reading or writing nothing works; a closed stream has a descriptor for which it does not."""
    try:
        descriptor = stream.fileno()
    except OSError:  # not a file, as under a test runner
        return True
    try:
        use(descriptor)
    except OSError as error:
        return error.errno != errno.EBADF
    return True


def refuse_same_file(source: str, output: str) -> None:
    """Raise ParamsError where the output would replace the input, also by a link to it or as standard input."""
    same = output == source and output != STANDARD
    if output != STANDARD and Path(output).is_file():
        with suppress(OSError):  # no such input, or standard input is not a file, as under a test runner
            read = os.fstat(sys.stdin.fileno()) if source == STANDARD else Path(source).stat()
            same = os.path.samestat(read, Path(output).stat())
    if same:
        raise ParamsError(f"{output}: is the input, which it would replace; use another name for the output")


@contextmanager
def writing(name: str) -> Iterator[IO[bytes]]:
    """Open a local file, an s3:// object, or standard output (`-`).

    A file or object appears under its name only when the block ends without an error. An object is first written to a
    temporary file of this machine, then sent by one request. A symbolic link stays, its target is replaced. What is
    not a regular file (a device, a pipe) is written to directly.

    Raises:
        ParamsError: standard output is closed, or a folder has this name.
        StorageError: S3 refuses.
    """
    with _destination(name) as file:
        if name.lower().endswith(GZIP):
            with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as compressed:
                yield compressed  # type: ignore[misc]  # GzipFile is no IO[bytes] to mypy
        else:
            yield file


@contextmanager
def _destination(name: str) -> Iterator[IO[bytes]]:
    check_output(name)
    path = Path(name)
    if name == STANDARD:
        yield sys.stdout.buffer
    elif name.startswith(S3):
        from sentiment.storage.s3 import Objects

        Objects().check_writable(name)  # before anything is computed
        with NamedTemporaryFile(prefix="sentiment-") as temporary:
            yield temporary
            temporary.flush()
            Objects().put_file(name, Path(temporary.name))
    elif name.startswith(("/dev/std", "/dev/fd/")) or (path.exists() and not path.is_file()):
        with path.open("wb") as file:
            yield file
    else:
        with atomic(path.resolve()) as partial, partial.open("wb") as file:
            yield file
