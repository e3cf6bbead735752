"""A job's folder in S3: names in, bytes out; every request has a timeout, every retry a limit.

The client is boto3's; DVC's own file system would need DVC, which is not installed yet.
"""

import time
from collections.abc import Callable
from typing import Any, TypeVar

CONNECT_TIMEOUT, READ_TIMEOUT, MAX_ATTEMPTS = 5, 30, 2  # seconds, seconds, attempts of one request
RETRY_TIMEOUT = 300.0  # seconds that a result waits for a storage that does not answer
PAUSE = 2.0  # seconds between attempts

T = TypeVar("T")


class StoreError(Exception):
    """The storage did not answer within `RETRY_TIMEOUT`, or refused; the message names what was asked."""


class Store:
    """The objects below one prefix of a bucket."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client = client
        self.bucket, self.prefix = bucket, prefix.strip("/")

    @classmethod
    def connect(cls, bucket: str, prefix: str, endpoint: str | None, region: str | None) -> "Store":
        """Return the folder through boto3's chain of credentials."""
        import boto3
        from botocore.config import Config

        config = Config(
            connect_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT, retries={"total_max_attempts": MAX_ATTEMPTS}
        )
        client = boto3.session.Session().client("s3", endpoint_url=endpoint, region_name=region, config=config)
        return cls(client, bucket, prefix)

    def key(self, name: str) -> str:
        """Return the key of an object of this folder."""
        return f"{self.prefix}/{name}"

    def put(self, name: str, body: bytes) -> None:
        """Write an object; raises botocore's errors."""
        self._client.put_object(Bucket=self.bucket, Key=self.key(name), Body=body)

    def get(self, name: str) -> bytes:
        """Read an object; raises botocore's errors."""
        return bytes(self.object(name)["Body"].read())

    def object(self, name: str) -> dict[str, Any]:
        """Return an object as boto3's `get_object` does; raises botocore's errors."""
        answer: dict[str, Any] = self._client.get_object(Bucket=self.bucket, Key=self.key(name))
        return answer

    def has(self, name: str) -> bool:
        """Return whether there is such an object."""
        from botocore.exceptions import ClientError

        try:
            self._client.head_object(Bucket=self.bucket, Key=self.key(name))
        except ClientError as error:
            if is_absent(error):
                return False
            raise
        return True


def is_absent(error: Exception) -> bool:
    """Return whether an error of boto3 says that the object does not exist."""
    from botocore.exceptions import ClientError

    return isinstance(error, ClientError) and error.response["Error"]["Code"] in ("404", "NoSuchKey")


def is_outage(error: Exception) -> bool:
    """Return whether an error of boto3 may pass: no connection, a timeout, or an answer 5xx."""
    from botocore.exceptions import ClientError, NoCredentialsError, PartialCredentialsError, ProfileNotFound

    if isinstance(error, ClientError):
        return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) >= 500
    return not isinstance(error, (NoCredentialsError, PartialCredentialsError, ProfileNotFound))


def with_retries(operation: Callable[[], T], what: str, timeout: float = RETRY_TIMEOUT) -> T:
    """Return what `operation` returns; repeat it while the storage does not answer.

    Raises:
        StoreError: the storage refused, or did not answer for `timeout` seconds.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    deadline = time.monotonic() + timeout
    while True:
        try:
            return operation()
        except (BotoCoreError, ClientError, OSError) as error:
            message = " ".join(str(error).split())
            if not is_outage(error):
                raise StoreError(f"{what}: {message}") from None
            if time.monotonic() > deadline:
                raise StoreError(f"{what}: no answer for {timeout:.0f} s ({message})") from None
            time.sleep(PAUSE)
