"""Check whether this machine can work with the S3 remote, and with this project's pipeline.

Each check ends in a line: ok, a note, or FAIL with what is broken and what to do. Checks of the remote sign in as DVC
does, and list, write, read back and delete one small object. A line shows the access key id and never a secret.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from sentiment.common.errors import PipelineError, StorageError
from sentiment.storage.errors import explain
from sentiment.storage.outputs import dvc_cache
from sentiment.storage.s3 import Remote

Status = Literal["ok", "note", "FAIL"]
Check = Callable[[], tuple[Status, str]]

# seconds; S3 refuses a signature that is more than 15 minutes off:
# https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
MAX_SKEW = 15 * 60
MAX_SKEW_WITHOUT_NOTE = 60  # seconds; synchronized clocks differ by far less, so more means that NTP does not run
PROBE = b"written by sentiment doctor\n"
# bytes; the default pipeline writes about 200 MB on the real reviews, and DVC keeps the outputs of earlier runs too
MIN_FREE_BYTES = 1024**3
NO_CHECKSUMS = (
    "the store refuses the checksums that AWS clients send by default; "
    "set AWS_REQUEST_CHECKSUM_CALCULATION=when_required in the environment (docs/s3.md)"
)


class MachineError(PipelineError):
    """Something on this machine that the pipeline needs is missing or broken."""


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


def run_check(name: str, check: Check) -> CheckResult:
    """Run one check; an error that a person can fix becomes its line."""
    try:
        status, text = check()
    except (BotoCoreError, ClientError) as error:
        return CheckResult("FAIL", name, explain(error))
    except PipelineError as error:
        return CheckResult("FAIL", name, str(error))
    except OSError as error:
        return CheckResult("FAIL", name, f"{error.filename or ''}: {error.strerror or error}".removeprefix(": "))
    return CheckResult(status, name, text)


def run_until_failure(checks: list[tuple[str, Check]]) -> Iterator[CheckResult]:
    """Yield the results of checks that build on each other; after a failure the rest would only repeat it."""
    for name, check in checks:
        result = run_check(name, check)
        yield result
        if result.status == "FAIL":
            return


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
        server = parse_server_time(self._server_time or "")
        if server is None:
            return "note", "the server sends no time to compare with"
        return check_skew(server, datetime.now(UTC))

    def bucket(self) -> tuple[Status, str]:
        """List one object below the prefix."""
        bucket = self._remote.bucket
        listing = self._client.list_objects_v2(Bucket=bucket, Prefix=self._remote.key(""), MaxKeys=1)
        self.readable = True
        return "ok", f"{bucket} can be listed" + ("" if listing.get("KeyCount") else "; nothing was pushed yet")

    def write(self) -> tuple[Status, str]:
        """Write a small object; `dvc pull` works without the permission.

        Raises:
            StorageError: the store takes the object only without the checksum that botocore adds.
        """
        try:
            self._put(self._client)
        except ClientError as error:
            if is_forbidden(error):
                return "note", "not permitted: these keys can pull but not push (docs/s3.md has the policy for push)"
            try:
                self._put(self._remote.client(request_checksum_calculation="when_required"))
            except (BotoCoreError, ClientError):
                raise error from None
            self.delete()
            raise StorageError(NO_CHECKSUMS) from None
        self.writable = True
        return "ok", f"{len(PROBE)} bytes to {self._probe}"

    def _put(self, client: Any) -> None:
        client.put_object(Bucket=self._remote.bucket, Key=self._probe, Body=PROBE)

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


def parse_server_time(header: str) -> datetime | None:
    """Return the time in a Date header, or None where there is none that can be read.

    A proxy may add a Date header of its own; botocore joins both by a comma, and the first is used. A time zone of
    "-0000" is UTC: https://www.rfc-editor.org/rfc/rfc5322#section-3.3.
    """
    weekday_and_time = ",".join(header.split(",")[:2])
    try:
        time = parsedate_to_datetime(weekday_and_time)
    except (ValueError, TypeError, OverflowError):
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def check_skew(server: datetime, local: datetime) -> tuple[Status, str]:
    """Judge the difference of two clocks, in seconds."""
    seconds = round((local - server).total_seconds())
    if abs(seconds) < MAX_SKEW_WITHOUT_NOTE:
        return "ok", f"within {MAX_SKEW_WITHOUT_NOTE} s of the server's"
    text = f"{abs(seconds)} s {'ahead of' if seconds > 0 else 'behind'} the server's; set it (NTP)"
    return ("FAIL", f"{text}, signatures are refused") if abs(seconds) >= MAX_SKEW else ("note", text)


def machine_checks(params: Path) -> Iterator[CheckResult]:
    """Yield one result a check; they do not depend on each other.

    The checks of what the pipeline needs are left out in a DVC project that is no checkout of this one.
    """
    yield run_check("cache", cache)
    if Path("stages/encode.py").is_file():
        yield run_check("gpu", lambda: device(params))
        yield run_check("integers", lambda: integer_product(params))
        yield run_check("encoder", lambda: encoder(params))


def cache() -> tuple[Status, str]:
    """Write a file to DVC's cache, and look at the free space of its disk; OSError when it cannot be written."""
    folder = Path(os.path.relpath(dvc_cache()))  # for people: absolute paths are long
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as probe:
        probe.write(PROBE)
    return check_cache_space(folder, shutil.disk_usage(folder).free)


def check_cache_space(folder: Path, free: int) -> tuple[Status, str]:
    """Judge `free` bytes on the disk of `folder`; raises MachineError when it is about full."""
    if free < MIN_FREE_BYTES:
        raise MachineError(
            f"{folder}: {free // 1024**2} MiB free, at least {MIN_FREE_BYTES // 1024**2} MiB are needed; "
            "`dvc gc --workspace` drops the outputs of earlier runs"
        )
    return "ok", f"{folder} can be written, {free / 1024**3:.0f} GiB free"


def device(params: Path) -> tuple[Status, str]:
    """Name the device that `encode` would run on, as the stage itself picks it."""
    # torch and transformers take seconds to import, so the lines above come first
    import torch

    from sentiment.common.params import load_params
    from sentiment.encoder.config import EncodeParams
    from sentiment.encoder.loading import pick_device

    picked = pick_device(load_params(params, "encode", EncodeParams).device)
    if picked.type == "cuda":
        return "ok", f"{torch.cuda.get_device_name(picked)}, CUDA {torch.version.cuda}"
    if picked.type == "mps":
        return "ok", "Apple GPU (mps)"
    return "note", f"none in use; encode runs on the CPU ({torch.get_num_threads()} threads)"


def integer_product(params: Path) -> tuple[Status, str]:
    """Say which integer product the exact encoder uses on the device that `encode` picks; both give equal bytes."""
    from sentiment.common.params import load_params
    from sentiment.encoder.config import EncodeParams
    from sentiment.encoder.loading import pick_device
    from sentiment.numerics.products import backend

    picked = pick_device(load_params(params, "encode", EncodeParams).device, exact=True)
    if backend(picked) == "native":
        return "ok", "native int8 products"
    return "note", "float32 products of integers: the same bytes, slower than native int8"


def encoder(params: Path) -> tuple[Status, str]:
    """Say whether the encoder is on this machine, or would be downloaded."""
    from huggingface_hub import try_to_load_from_cache

    from sentiment.common.params import load_params
    from sentiment.encoder.files import check_weights
    from sentiment.finetuning.settings import FinetuneParams
    from sentiment.finetuning.source import read_pointer

    folder = Path(load_params(params, "finetune", FinetuneParams).encoder)
    if not folder.is_dir():
        raise MachineError(f"{folder}: no such folder; `git checkout -- {folder}`, or set finetune.encoder to another")
    pointer = read_pointer(folder)
    if pointer is None:
        check_weights(folder)
        return "ok", str(folder)
    if isinstance(try_to_load_from_cache(pointer.id, "config.json", revision=pointer.commit), str):
        return "ok", f"{folder}: {pointer.id} at {pointer.commit}, downloaded"
    return "note", f"{folder}: {pointer.id} at {pointer.commit} is downloaded when finetune runs"
