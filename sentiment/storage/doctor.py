"""Check whether this machine can work with the S3 remote, and say what an error of boto3 or s3fs means and what to do.

Each check ends in a line: ok, a note, or FAIL with what is broken and what to do. The checks sign in as DVC does, and
list, write, read back and delete one small object. A line shows the access key id and never a secret.
"""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)

from sentiment.common.errors import PipelineError, StorageError, one_line
from sentiment.storage.s3 import Remote

Status = Literal["ok", "note", "FAIL"]
Check = Callable[[], tuple[Status, str]]

PROBE = b"written by sentiment doctor\n"

CHECKSUMS = (
    "the store refuses a header, probably the checksums that AWS clients send by default; "
    "set AWS_REQUEST_CHECKSUM_CALCULATION=when_required in the environment (docs/s3.md)"
)
# error codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
BY_CODE = {
    "InvalidAccessKeyId": "the server does not know this access key id; look at the keys (docs/s3.md)",
    "SignatureDoesNotMatch": "the secret key is wrong for this access key id; look at the keys (docs/s3.md)",
    "ExpiredToken": "the session has expired; `aws sso login`, or fresh keys",
    "RequestTimeTooSkewed": "this machine's clock is wrong; set it (NTP)",
    "NoSuchBucket": "no such bucket; create it, or `dvc remote modify storage url s3://BUCKET/PREFIX`",
    "AccessDenied": "not permitted; these keys need the policy of docs/s3.md",
    "403": "not permitted; these keys need the policy of docs/s3.md",
    "NoSuchKey": "no such object",
    "404": "no such object or bucket",
    "PreconditionFailed": "has changed since it was listed; run again",
    "412": "has changed since it was listed; run again",
    "PermanentRedirect": "the bucket is in another region; `dvc remote modify --local storage region REGION`",
    "AuthorizationHeaderMalformed": "wrong region; `dvc remote modify --local storage region REGION`",
    "InternalError": "the server failed; is its disk full?",
    "InvalidArgument": CHECKSUMS,
    "NotImplemented": CHECKSUMS,
    "SlowDown": "the server asks for fewer requests; try again later",
}
NO_CREDENTIALS = (
    "no credentials; `make s3` for a local server, `make s3-share` where a colleague's server runs, "
    "`aws configure` or `aws sso login` for AWS (docs/s3.md)"
)
UNREACHABLE = "does not answer; start the local server with `make s3`, or look at endpointurl and the network"
# by class; the first that matches is used
BY_CLASS: tuple[tuple[type[BotoCoreError] | tuple[type[BotoCoreError], ...], str], ...] = (
    (NoCredentialsError, NO_CREDENTIALS),
    (PartialCredentialsError, "half of the credentials is missing; set key and secret (docs/s3.md)"),
    (ProfileNotFound, "no such AWS profile; `aws configure list-profiles` shows them (docs/s3.md)"),
    ((SSOTokenLoadError, UnauthorizedSSOTokenError, TokenRetrievalError), "not signed in; `aws sso login`"),
    (NoRegionError, "no region; `dvc remote modify --local storage region REGION`"),
    ((EndpointConnectionError, ConnectTimeoutError), UNREACHABLE),
)


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


def explain(error: BaseException) -> str:
    """Return what an error means and what to do, in one line."""
    if isinstance(error, ClientError):
        code = str(error.response["Error"]["Code"])
        return BY_CODE.get(code, f"{code}: {' '.join(str(error.response['Error'].get('Message', '')).split())}")
    for error_class, meaning in BY_CLASS:
        if isinstance(error, error_class):
            return meaning
    return one_line(error)
