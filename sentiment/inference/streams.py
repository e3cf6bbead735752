"""Opens what is read and written: local files, s3:// objects, standard input and output.

Credentials, region and endpoint of S3 come from the usual AWS chain (AWS_ENDPOINT_URL_S3 names another server).
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sentiment.common.errors import InputError, StorageError
from sentiment.common.files import atomic

STANDARD = "-"


@contextmanager
def reading(name: str) -> Iterator[IO[bytes]]:
    """Open a local file, an s3:// object, or standard input (`-`), as bytes.

    Raises:
        InputError: there is no such local file.
        StorageError: S3 does not hand it out.
    """
    if name == STANDARD:
        yield sys.stdin.buffer
    elif name.startswith("s3://"):
        with _s3(name, "rb") as file:
            yield file
    else:
        path = Path(name)
        if not path.is_file():
            found = "is a folder" if path.is_dir() else "no such file"
            raise InputError(f"{name}: {found}; expected a CSV, Parquet, JSON lines or text file")
        with path.open("rb") as file:
            yield file


@contextmanager
def writing(name: str) -> Iterator[IO[bytes]]:
    """Open a local file, an s3:// object, or standard output (`-`), as bytes.

    A file or object appears under its name only when the block ends well. On S3 that is a multipart upload,
    completed at the end or else aborted.

    Raises:
        StorageError: S3 does not take it.
    """
    if name == STANDARD:
        yield sys.stdout.buffer
    elif name.startswith("s3://"):
        with _s3(name, "wb") as file:
            yield file
    else:
        with atomic(Path(name)) as partial, partial.open("wb") as file:
            yield file


@contextmanager
def _s3(name: str, mode: str) -> Iterator[IO[bytes]]:
    import smart_open  # with boto3 a second or two, which only those pay who ask for s3://
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        file = smart_open.open(name, mode, compression="disable")
    except (BotoCoreError, ClientError, OSError, ValueError) as error:
        raise StorageError(f"{name}: {' '.join(str(error).split())}") from None
    try:
        with file:
            yield file
    except (BotoCoreError, ClientError) as error:
        raise StorageError(f"{name}: {' '.join(str(error).split())}") from None
