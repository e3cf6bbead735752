"""Describe a job as the client sees it: its folder in the storage remote, its status, and what must run it."""

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from sentiment.common.errors import ParamsError, StorageError, one_line
from sentiment.remote.runner import FINAL, INTERRUPTED, JOB, JOBS, MISSED_HEARTBEATS, STATUS, Store
from sentiment.storage.s3 import STORAGE, Remote

S3_ERRORS = (BotoCoreError, ClientError)
JOB_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}")
COLUMNS = ("job", "state", "on", "commit", "experiments")
LOST, NOT_SENT, NOT_READABLE = "lost", "not sent", "not readable"


@dataclass(frozen=True)
class Status:
    """The last status that the runner wrote.

    Attributes:
        state: one of the states in `remote.runner`.
        age: seconds since it was written, by the storage's clock.
        values: everything that it says.
    """

    state: str
    age: float
    values: dict[str, Any] = field(repr=False)

    @property
    def line(self) -> str:
        """Return the state, and why a job ended, as one line."""
        message = str(self.values.get("message") or "")
        return f"{self.state}{': ' if message else ''}{message}"

    @property
    def is_final(self) -> bool:
        """Return whether the runner has ended in order."""
        return self.state in FINAL

    def is_lost(self, heartbeat_s: float) -> bool:
        """Return whether the runner should have written again, and has not; one that is interrupted should not."""
        return self.state not in (*FINAL, INTERRUPTED) and self.age > MISSED_HEARTBEATS * heartbeat_s


class JobFolder:
    """The objects of one job, through the client that DVC's remote `storage` describes."""

    def __init__(self, remote: Remote, job_id: str) -> None:
        self.id = checked(job_id, JOB_ID, "a job id like 20260131-093000-1a2b3c")
        self.remote = remote
        self.store = Store(remote.client(), remote.bucket, remote.key(JOBS, job_id))

    @classmethod
    def open(cls, job_id: str) -> "JobFolder":
        """Return the folder of a job; raises ParamsError where the id is none."""
        return cls(Remote.read(STORAGE), job_id)

    def read(self, name: str) -> bytes | None:
        """Return the content of an object, None where there is none; raises StorageError."""
        try:
            return self.store.get(name)
        except S3_ERRORS as error:
            raise storage_error(self.remote, error) from None

    def write(self, name: str, content: bytes) -> None:
        """Write an object; raises StorageError."""
        try:
            self.store.put(name, content)
        except S3_ERRORS as error:
            raise storage_error(self.remote, error) from None

    def job(self) -> dict[str, Any]:
        """Return the job as it was sent.

        Raises:
            ParamsError: there is no such job, or it was not sent to its end.
            StorageError: the storage does not answer.
        """
        content = self.read(JOB)
        if content is None:
            raise ParamsError(f"{self.id}: no such job (`sentiment remote list`)")
        job: dict[str, Any] = json.loads(content)
        return job

    def status(self) -> Status | None:
        """Return the runner's last status, None before the first; raises StorageError."""
        try:
            answer = self.store.object(STATUS)
        except S3_ERRORS as error:
            raise storage_error(self.remote, error) from None
        if answer is None:
            return None
        values = json.loads(answer["Body"].read())
        clock = datetime.strptime(answer["ResponseMetadata"]["HTTPHeaders"]["date"], "%a, %d %b %Y %H:%M:%S %Z")
        age = (clock.replace(tzinfo=UTC) - answer["LastModified"]).total_seconds()
        return Status(str(values["state"]), max(age, 0.0), values)

    def state(self) -> tuple[str, str]:
        """Return the state of a job, `lost` where its heartbeat stopped, and a line that explains it."""
        job, status = self.job(), self.status()
        if status is None:
            return "waiting", "waiting: its runner has not started"
        if status.is_lost(job["heartbeat_s"]):
            return LOST, f"lost: no heartbeat for {status.age:.0f} s, in state {status.state}"
        return status.state, status.line


class Backend(Protocol):
    """A machine or service that runs jobs."""

    @property
    def start_limit_s(self) -> float:
        """Return how long a job may take from being sent, or interrupted, to its next heartbeat."""
        ...

    def check(self) -> None:
        """Raise PipelineError for what cannot work, before anything is sent."""
        ...

    def start(self, folder: JobFolder) -> str:
        """Start the runner for a job; return one line on where it runs."""
        ...

    def cancel(self, folder: JobFolder) -> None:
        """End a job besides the request to stop that its runner reads."""
        ...

    def describe(self, folder: JobFolder) -> tuple[bool, str]:
        """Return whether nothing runs there any more, and what the backend says of a job."""
        ...


def runner_arguments(folder: JobFolder, region: str | None = None) -> list[str]:
    """Return the arguments with which a runner finds a job; `region` where the remote names none."""
    settings = folder.remote.settings
    arguments = ["--bucket", folder.store.bucket, "--prefix", folder.store.prefix]
    if settings.get("endpointurl"):
        arguments += ["--endpoint", str(settings["endpointurl"])]
    if region := settings.get("region") or region:
        arguments += ["--region", str(region)]
    return arguments


def job_table(remote: Remote) -> str:
    """Return a table of all jobs, oldest first, with a line for the header; raises StorageError."""
    prefix = remote.key(JOBS) + "/"
    pages = remote.client().get_paginator("list_objects_v2")
    try:
        listed = list(pages.paginate(Bucket=remote.bucket, Prefix=prefix, Delimiter="/"))
    except S3_ERRORS as error:
        raise storage_error(remote, error) from None
    names = [entry["Prefix"][len(prefix) : -1] for page in listed for entry in page.get("CommonPrefixes", [])]
    rows: list[Sequence[str]] = [COLUMNS, *(_row(remote, name) for name in sorted(names) if JOB_ID.fullmatch(name))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines) + "\n"


def _row(remote: Remote, job_id: str) -> Sequence[str]:
    folder = JobFolder(remote, job_id)
    try:
        job, (state, _) = folder.job(), folder.state()
        status = folder.status()
        names = status.values.get("experiments", []) if status else []
        return (job_id, state, " ".join(job["on"]), job["commit"][:7], ", ".join(names) or "-")
    except ParamsError:  # the client was killed while it sent the job
        return (job_id, NOT_SENT, "-", "-", "-")
    except (ValueError, KeyError, TypeError, AttributeError):  # another version's, or damaged
        return (job_id, NOT_READABLE, "-", "-", "-")


def new_id() -> str:
    """Return an id that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def checked(value: str, pattern: re.Pattern[str], expected: str) -> str:
    """Return a value that matches a pattern as a whole; raises ParamsError."""
    if not pattern.fullmatch(value):
        raise ParamsError(f"'{value}' is not {expected}")
    return value


def storage_error(remote: Remote, error: Exception) -> StorageError:
    """Return an error of boto3 as one line with the address."""
    return StorageError(f"{remote.url} at {remote.endpoint}: {one_line(error)}; `sentiment doctor` checks the storage")
