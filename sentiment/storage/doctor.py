"""Check whether this machine can work with the S3 remote.

Each check ends in a line: ok, a note, or FAIL with what is broken and what to do. The checks sign in as DVC does, and
list, write, read back and delete one small object. A line shows the access key id and never a secret.
"""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from sentiment.common.errors import PipelineError, StorageError
from sentiment.storage.errors import explain
from sentiment.storage.s3 import Remote

Status = Literal["ok", "note", "FAIL"]
Check = Callable[[], tuple[Status, str]]

PROBE = b"written by sentiment doctor\n"


@dataclass(frozen=True)
class CheckResult:
    """What one check found.

    Attributes:
        status: "FAIL" when the pipeline cannot work like this, "note" when it can.
        check: the name of the check.
        text: what was found, and for a failure what to do.
    """

    status: Status
    check: str
    text: str

    def __str__(self) -> str:
        return f"{self.status:<4}  {self.check:<8}  {self.text}"


def remote_checks(remote: Remote) -> Iterator[CheckResult]:
    """Yield one result a check, up to the first failure, which the others would only repeat."""
    checks: dict[str, Check] = {
        "remote": lambda: ("ok", f"{remote.url} at {remote.endpoint}"),
        "identity": lambda: identity(remote),
        "bucket": lambda: bucket(remote),
        "write": lambda: write(remote),
    }
    for name, check in checks.items():
        try:
            status, text = check()
        except (BotoCoreError, ClientError, PipelineError, OSError) as error:
            yield CheckResult("FAIL", name, explain(error))
            return
        yield CheckResult(status, name, text)


def identity(remote: Remote) -> tuple[Status, str]:
    """Return the access key id, and where it came from; never the secret."""
    credentials = remote.session().get_credentials()
    if credentials is None:
        raise NoCredentialsError
    source = ".dvc/config.local" if "access_key_id" in remote.settings else credentials.method
    return "ok", f"access key id {credentials.access_key} ({source})"


def bucket(remote: Remote) -> tuple[Status, str]:
    """List one object below the prefix."""
    listing = remote.client().list_objects_v2(Bucket=remote.bucket, Prefix=remote.key(""), MaxKeys=1)
    return "ok", f"{remote.bucket} can be listed" + ("" if listing.get("KeyCount") else "; nothing was pushed yet")


def write(remote: Remote) -> tuple[Status, str]:
    """Write a small object, read it back and delete it; `dvc pull` needs no permission for any of them.

    Raises:
        StorageError: the store returns other bytes.
    """
    client, probe = remote.client(), {"Bucket": remote.bucket, "Key": remote.key(f".doctor-{secrets.token_hex(8)}")}
    try:
        client.put_object(**probe, Body=PROBE)
    except ClientError as error:
        if not is_forbidden(error):
            raise
        return "note", "not permitted: these keys can pull but not push (docs/s3.md has the policy for push)"
    if client.get_object(**probe)["Body"].read() != PROBE:
        raise StorageError(f"{probe['Key']} came back with other bytes; do not trust this storage")
    try:
        client.delete_object(**probe)
    except ClientError as error:
        if not is_forbidden(error):
            raise
        return "note", f"not permitted to delete, so {probe['Key']} stays; only `dvc gc --cloud` and repairs need it"
    return "ok", f"{len(PROBE)} bytes were written, read back and deleted"


def is_forbidden(error: ClientError) -> bool:
    """Return whether S3 refused for lack of permission."""
    return bool(error.response["ResponseMetadata"]["HTTPStatusCode"] == 403)
