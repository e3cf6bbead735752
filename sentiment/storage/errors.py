"""Turn an error of boto3 or s3fs into one line that says what it means and what to do."""

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

from sentiment.common.errors import one_line

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


def explain(error: BaseException) -> str:
    """Return what an error means and what to do, in one line."""
    if isinstance(error, ClientError):
        code = str(error.response["Error"]["Code"])
        return BY_CODE.get(code, f"{code}: {' '.join(str(error.response['Error'].get('Message', '')).split())}")
    for error_class, meaning in BY_CLASS:
        if isinstance(error, error_class):
            return meaning
    return one_line(error)
