"""Checks of the S3 remote: identity, server, clock, bucket, and a small object written, read back and deleted."""

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import ClientError, NoCredentialsError

from sentiment.common.errors import StorageError
from sentiment.storage.s3 import Remote
from storage.check_result import Check, CheckResult, Status, run_until_failure

# seconds; S3 refuses a signature that is more than 15 minutes off:
# https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
MAX_SKEW = 15 * 60
MAX_SKEW_WITHOUT_NOTE = 60  # seconds; synchronized clocks differ by far less, so more means that NTP does not run
PROBE = b"written by make doctor\n"


def remote_checks(remote: Remote) -> Iterator[CheckResult]:
    """Yield one result a check, up to the first failure; keys that may not write end with a note."""
    checks = RemoteChecks(remote)
    yield from run_until_failure(checks.reading())
    if checks.readable:
        yield from run_until_failure([("write", checks.write)])
    if checks.writable:
        yield from run_until_failure([("read", checks.read_back), ("delete", checks.delete)])


class RemoteChecks:
    """The checks of one remote, which share a client and the key of a test object."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._client: Any = None
        self._probe = remote.key(f".doctor-{secrets.token_hex(8)}")
        self._server_time: str | None = None
        self.readable = False
        self.writable = False

    def reading(self) -> list[tuple[str, Check]]:
        """Return the checks that need no permission to write, in order."""
        url, endpoint = self._remote.url, self._remote.endpoint
        return [
            ("remote", lambda: ("ok", f"{url} at {endpoint}")),
            ("identity", lambda: identity(self._remote)),
            ("server", self.server),
            ("clock", self.clock),
            ("bucket", self.bucket),
        ]

    def server(self) -> tuple[Status, str]:
        """Ask for the bucket and keep the server's time, which comes with any answer, a refusal as well."""
        self._client = self._remote.client()
        try:
            answer = self._client.head_bucket(Bucket=self._remote.bucket)
        except ClientError as error:
            answer = error.response
        self._server_time = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        return "ok", f"{self._remote.endpoint} answers"

    def clock(self) -> tuple[Status, str]:
        """Compare this machine's clock with the server's."""
        if self._server_time is None:
            return "note", "the server sends no time to compare with"
        return check_skew(parsedate_to_datetime(self._server_time), datetime.now(UTC))

    def bucket(self) -> tuple[Status, str]:
        """List one object below the prefix."""
        bucket = self._remote.bucket
        listing = self._client.list_objects_v2(Bucket=bucket, Prefix=self._remote.key(""), MaxKeys=1)
        self.readable = True
        return "ok", f"{bucket} can be listed" + ("" if listing.get("KeyCount") else "; nothing was pushed yet")

    def write(self) -> tuple[Status, str]:
        """Write a small object; `dvc pull` works without the permission."""
        try:
            self._client.put_object(Bucket=self._remote.bucket, Key=self._probe, Body=PROBE)
        except ClientError as error:
            if not is_forbidden(error):
                raise
            return "note", "not permitted: these keys can pull but not push (docs/s3.md has the policy for push)"
        self.writable = True
        return "ok", f"{len(PROBE)} bytes to {self._probe}"

    def read_back(self) -> tuple[Status, str]:
        """Read the small object and compare.

        Raises:
            StorageError: the bytes differ.
        """
        content = self._client.get_object(Bucket=self._remote.bucket, Key=self._probe)["Body"].read()
        if content != PROBE:
            raise StorageError(f"{self._probe} came back with other bytes; do not trust this storage")
        return "ok", "the same bytes came back"

    def delete(self) -> tuple[Status, str]:
        """Delete the small object; only `dvc gc --cloud` needs the permission."""
        try:
            self._client.delete_object(Bucket=self._remote.bucket, Key=self._probe)
        except ClientError as error:
            if not is_forbidden(error):
                raise
            return "note", f"not permitted, so {self._probe} stays; only `dvc gc --cloud` and repairs need it"
        return "ok", "the test object is gone"


def identity(remote: Remote) -> tuple[Status, str]:
    """Return the access key id, and where it came from; never the secret."""
    credentials = remote.session().get_credentials()
    if credentials is None:
        raise NoCredentialsError
    source = ".dvc/config.local" if "access_key_id" in remote.settings else credentials.method
    return "ok", f"access key id {credentials.access_key} ({source})"


def is_forbidden(error: ClientError) -> bool:
    """Return whether S3 refused for lack of permission."""
    return bool(error.response["ResponseMetadata"]["HTTPStatusCode"] == 403)


def check_skew(server: datetime, local: datetime) -> tuple[Status, str]:
    """Judge the difference of two clocks, in seconds."""
    seconds = round((local - server).total_seconds())
    if abs(seconds) < MAX_SKEW_WITHOUT_NOTE:
        return "ok", f"within {MAX_SKEW_WITHOUT_NOTE} s of the server's"
    text = f"{abs(seconds)} s {'ahead of' if seconds > 0 else 'behind'} the server's; set it (NTP)"
    return ("FAIL", f"{text}, signatures are refused") if abs(seconds) >= MAX_SKEW else ("note", text)
