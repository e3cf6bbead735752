"""S3 as `Storage`: single requests that are repeated while the server is away, and no multipart uploads.

Each attempt waits 5 s for a connection and 30 s for an answer (`sentiment.storage.s3`). An attempt that fails for
a reason that passes (no connection, time-out, 5xx, throttling) is repeated after 0.5, 1, 2, 4, 8, 8, ... seconds, for
at most 120 s. An output is one PutObject: S3 shows it complete or not at all, and a killed process leaves nothing.
"""

import io
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import IO, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as BotoConnectionError

from sentiment.common.errors import InputError, StorageError, one_line
from sentiment.jobs.block_file import BlockFile
from sentiment.jobs.errors import OutputError, UnavailableError
from sentiment.jobs.storage import S3, FileInfo
from sentiment.storage.s3 import client_for

RETRY_SECONDS = 120
FIRST_PAUSE, MAX_PAUSE = 0.5, 8.0  # seconds between attempts
THROTTLED = {"SlowDown", "Throttling", "ThrottlingException", "RequestTimeout", "RequestTimeTooSkewed"}
MISSING = {"NoSuchKey", "404", "NotFound"}

T = TypeVar("T")

_client = cache(client_for)  # one per bucket and process; boto3's clients may be shared by threads


class S3Storage:
    """Objects of one bucket."""

    def __init__(self, root: str) -> None:
        self._bucket = split(root)[0]
        self._client = _client(self._bucket)

    def files(self, folder: str) -> Iterator[FileInfo]:
        """Yield the objects below `folder/` by key, or the object of this name; 1,000 a request."""
        prefix = split(folder)[1].rstrip("/")
        below = f"{prefix}/" if prefix else ""
        token: dict[str, str] = {}
        while True:
            page = self._call(folder, "list_objects_v2", Prefix=prefix, **token)
            for item in page.get("Contents", []):
                if item["Key"] == prefix or item["Key"].startswith(below):
                    yield FileInfo(f"{S3}{self._bucket}/{item['Key']}", item["Size"], item["ETag"].strip('"'))
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def open(self, file: FileInfo) -> IO[bytes]:
        """Open an object for reading and seeking; reading raises InputError where it is gone or has changed."""

        def read(start: int, stop: int) -> bytes:
            conditions = {"Range": f"bytes={start}-{stop - 1}", "IfMatch": f'"{file.etag}"'}
            try:
                return self._get(file.name, **conditions)
            except ClientError as error:
                if is_missing(error):
                    raise InputError(f"{file.name}: no such object; it was there when inputs were listed") from None
                if status(error) == 412:  # precondition failed
                    raise InputError(f"{file.name}: has changed since it was listed; run again") from None
                raise InputError(f"{file.name}: {one_line(error)}") from None

        return io.BufferedReader(BlockFile(read, file.size), 1_048_576)

    def tail(self, name: str, size: int) -> bytes | None:
        """Return at most the last `size` bytes; None where there is no such object."""
        try:
            return self._get(name, Range=f"bytes=-{size}")
        except ClientError as error:
            if is_missing(error) or status(error) == 416:  # an empty object has no range
                return None
            raise StorageError(f"{name}: {one_line(error)}") from None

    def put(self, name: str, data: bytes) -> None:
        """Write an object by one request; raises OutputError."""
        self._put(name, lambda: data)

    def put_file(self, name: str, path: Path) -> None:
        """Write an object with the content of a local file by one request; raises OutputError."""
        self._put(name, lambda: path.open("rb"))

    def _put(self, name: str, body: Callable[[], Any]) -> None:
        try:
            retried(name, lambda: self._client.put_object(Bucket=self._bucket, Key=split(name)[1], Body=body()))
        except (ClientError, BotoCoreError) as error:
            raise OutputError(f"{name}: {one_line(error)}") from None

    def delete(self, name: str) -> None:
        """Remove an object; S3 does not mind where it is not there."""
        self._call(name, "delete_object", Key=split(name)[1])

    def _get(self, name: str, **request: str) -> bytes:
        key = split(name)[1]
        # the body too is read here, so that a connection that breaks in the middle is repeated
        return retried(
            name, lambda: bytes(self._client.get_object(Bucket=self._bucket, Key=key, **request)["Body"].read())
        )

    def _call(self, name: str, operation: str, **request: Any) -> Any:
        try:
            return retried(name, lambda: getattr(self._client, operation)(Bucket=self._bucket, **request))
        except (ClientError, BotoCoreError) as error:
            raise StorageError(f"{name}: {one_line(error)}") from None


def split(name: str) -> tuple[str, str]:
    """Return bucket and key of an s3:// URL."""
    bucket, _, key = name.removeprefix(S3).partition("/")
    return bucket, key


def retried(name: str, call: Callable[[], T]) -> T:
    """Return `call()`, repeated while it fails for a reason that passes; raises UnavailableError after 120 s."""
    deadline, pause = time.monotonic() + RETRY_SECONDS, FIRST_PAUSE
    while True:
        try:
            return call()
        except (BotoConnectionError, HTTPClientError, IncompleteReadError, ClientError) as error:
            if isinstance(error, ClientError) and not is_transient(error):
                raise
            if time.monotonic() + pause > deadline:
                raise UnavailableError(f"{name}: {one_line(error)}; gave up after {RETRY_SECONDS} s") from None
        time.sleep(pause)
        pause = min(MAX_PAUSE, pause * 2)


def status(error: ClientError) -> int:
    """Return the HTTP status of an answer."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_transient(error: ClientError) -> bool:
    """Return whether the same request may succeed later."""
    return status(error) >= 500 or error.response["Error"]["Code"] in THROTTLED


def is_missing(error: ClientError) -> bool:
    """Return whether the answer says that there is no such object."""
    return error.response["Error"]["Code"] in MISSING
