"""Checks of the S3 remote: identity, clock, bucket, and a small object written, read back and deleted."""

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import ClientError, NoCredentialsError

from sentiment.common.errors import PipelineError
from storage.remote import Remote
from storage.report import Line, Status, until_failure

# S3 refuses a signature that is more than 15 minutes off:
# https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
SKEW_LIMIT = 15 * 60
SKEW_WARNING = 60
PROBE = b"written by make doctor\n"


class RemoteError(PipelineError):
    """The remote answers, but not with what was asked for."""


def remote_lines(remote: Remote) -> Iterator[Line]:
    """Yield one line a check, up to the first failure."""
    client = None

    def connected() -> Any:
        nonlocal client
        client = client or remote.client()
        return client

    probe = remote.key(f".doctor-{secrets.token_hex(8)}")
    yield from until_failure(
        [
            ("remote", lambda: ("ok", f"{remote.url} at {remote.endpoint}")),
            ("identity", lambda: identity(remote)),
            ("clock", lambda: clock(connected(), remote.bucket)),
            ("bucket", lambda: listing(connected(), remote)),
            ("write", lambda: write(connected(), remote.bucket, probe)),
            ("read", lambda: read_back(connected(), remote.bucket, probe)),
            ("delete", lambda: delete(connected(), remote.bucket, probe)),
        ]
    )


def identity(remote: Remote) -> tuple[Status, str]:
    """Return the access key id, and where it came from; never the secret."""
    credentials = remote.session().get_credentials()
    if credentials is None:
        raise NoCredentialsError
    own = "access_key_id" in remote.settings
    return "ok", f"access key id {credentials.access_key} ({'.dvc/config.local' if own else credentials.method})"


def clock(client: Any, bucket: str) -> tuple[Status, str]:
    """Compare this machine's clock with the server's, which comes with any answer, a refusal as well."""
    try:
        answer = client.head_bucket(Bucket=bucket)
    except ClientError as error:
        answer = error.response
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    return skew(parsedate_to_datetime(date), datetime.now(UTC)) if date else ("note", "the server tells no time")


def skew(server: datetime, here: datetime) -> tuple[Status, str]:
    """Judge the difference of two clocks, in seconds."""
    seconds = round((here - server).total_seconds())
    if abs(seconds) < SKEW_WARNING:
        return "ok", f"within {SKEW_WARNING} s of the server's"
    text = f"{abs(seconds)} s {'ahead of' if seconds > 0 else 'behind'} the server's; set it (NTP)"
    return ("FAIL", f"{text}, signatures are refused") if abs(seconds) >= SKEW_LIMIT else ("note", text)


def listing(client: Any, remote: Remote) -> tuple[Status, str]:
    """List one object below the prefix."""
    found = client.list_objects_v2(Bucket=remote.bucket, Prefix=remote.key(""), MaxKeys=1).get("KeyCount", 0)
    return "ok", f"{remote.bucket} can be listed" + ("" if found else "; nothing was pushed yet")


def write(client: Any, bucket: str, key: str) -> tuple[Status, str]:
    """Write a small object."""
    client.put_object(Bucket=bucket, Key=key, Body=PROBE)
    return "ok", f"{len(PROBE)} bytes to {key}"


def read_back(client: Any, bucket: str, key: str) -> tuple[Status, str]:
    """Read the small object and compare.

    Raises:
        RemoteError: other bytes came back.
    """
    found = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    if found != PROBE:
        raise RemoteError(f"{key} came back with other bytes; do not trust this storage")
    return "ok", "the same bytes came back"


def delete(client: Any, bucket: str, key: str) -> tuple[Status, str]:
    """Delete the small object; only `dvc gc --cloud` needs the permission."""
    try:
        client.delete_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 403:
            raise
        return "note", f"not permitted, so {key} stays; only `dvc gc --cloud` and repairs need it"
    return "ok", "gone again"
