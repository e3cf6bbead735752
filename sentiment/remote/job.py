"""A job as the client sees it: its description, its folder in the storage remote, its status and log."""

import json
import re
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sentiment.common.errors import ParamsError, StorageError, one_line
from sentiment.remote.runner.layout import FINAL, JOB, JOB_ID, JOBS, MISSED_HEARTBEATS, STATUS
from sentiment.remote.runner.store import Store, is_absent
from sentiment.storage.s3 import STORAGE, Remote

S3_ERRORS = (BotoCoreError, ClientError)


@dataclass(frozen=True)
class Status:
    """The last status that the runner wrote.

    Attributes:
        state: one of the states in `runner.layout`.
        age: seconds since it was written, by the storage's clock.
        values: everything that it says.
    """

    state: str
    age: float
    values: dict[str, Any] = field(repr=False)

    @property
    def message(self) -> str:
        """Return why a job ended."""
        return str(self.values.get("message") or "")

    @property
    def line(self) -> str:
        """Return state and message as one line."""
        return f"{self.state}{': ' if self.message else ''}{self.message}"

    @property
    def is_final(self) -> bool:
        """Return whether the runner has ended in order."""
        return self.state in FINAL

    def is_lost(self, heartbeat_s: float) -> bool:
        """Return whether the runner should have written again, and has not."""
        return not self.is_final and self.age > MISSED_HEARTBEATS * heartbeat_s


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

    def job(self) -> dict[str, Any]:
        """Return the job as it was sent.

        Raises:
            ParamsError: there is no such job.
            StorageError: the storage does not answer.
        """
        try:
            job: dict[str, Any] = json.loads(self.store.get(JOB))
        except S3_ERRORS as error:
            if is_absent(error):
                raise ParamsError(f"{self.id}: no such job (`sentiment remote list`)") from None
            raise storage_error(self.remote, error) from None
        return job

    def status(self) -> Status | None:
        """Return the runner's last status, None before the first; raises botocore's errors."""
        try:
            answer = self.store.object(STATUS)
        except ClientError as error:
            if is_absent(error):
                return None
            raise
        values = json.loads(answer["Body"].read())
        clock = datetime.strptime(answer["ResponseMetadata"]["HTTPHeaders"]["date"], "%a, %d %b %Y %H:%M:%S %Z")
        age = (clock.replace(tzinfo=UTC) - answer["LastModified"]).total_seconds()
        return Status(str(values["state"]), max(age, 0.0), values)


def job_ids(remote: Remote) -> list[str]:
    """Return the ids of all jobs, oldest first; raises StorageError."""
    prefix = remote.key(JOBS) + "/"
    try:
        pages = (
            remote.client()
            .get_paginator("list_objects_v2")
            .paginate(Bucket=remote.bucket, Prefix=prefix, Delimiter="/")
        )
        names = [entry["Prefix"][len(prefix) : -1] for page in pages for entry in page.get("CommonPrefixes", [])]
    except S3_ERRORS as error:
        raise storage_error(remote, error) from None
    return sorted(name for name in names if JOB_ID.fullmatch(name))


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
    return StorageError(f"{remote.url} at {remote.endpoint}: {one_line(error)}; `make doctor` checks the storage")
