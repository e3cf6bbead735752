"""Describe a job as the client sees it: what was sent, how it stands, and all jobs as a table."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from sentiment.common.errors import ParamsError
from sentiment.remote.runner import FINAL, INTERRUPTED, JOB, JOBS, STATUS, Store
from sentiment.storage.s3 import Remote

JOB_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}")
WAITING, LOST = "waiting", "lost"  # beside the states of `remote.runner`
MISSED_HEARTBEATS = 4  # after as many the runner counts as gone


@dataclass(frozen=True)
class Status:
    """How a job stands.

    Attributes:
        state: one of the states in `remote.runner`, WAITING before its first, LOST where its heartbeat stopped.
        line: the state, and why, as one line.
        age: seconds since the runner wrote it, or since the job was sent, by the storage's clock.
        experiments: that are saved.
    """

    state: str
    line: str
    age: float
    experiments: Sequence[str] = ()


class JobFolder(Store):
    """The objects of one job, through the client that DVC's remote `storage` describes.

    Every method raises botocore's errors where the storage does not answer.

    Raises:
        ParamsError: the id is none.
    """

    def __init__(self, remote: Remote, job_id: str) -> None:
        self.id = checked(job_id, JOB_ID, "a job id like 20260131-093000-1a2b3c")
        self.remote = remote
        super().__init__(remote.client(), remote.bucket, remote.key(JOBS, job_id))

    def job(self) -> dict[str, Any]:
        """Return the job as it was sent; raises ParamsError where there is none, or it was not sent to its end."""
        content = self.get(JOB)
        if not content:
            raise ParamsError(f"{self.id}: no such job (`sentiment remote list`)")
        job: dict[str, Any] = json.loads(content)
        return job

    def status(self, heartbeat_s: float) -> Status:
        """Return how the job stands, whose runner writes every `heartbeat_s` seconds."""
        answer = self.object(STATUS) or self.object(JOB) or {}
        values = json.loads(answer["Body"].read())
        clock = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        age = (clock - answer["LastModified"]).total_seconds()
        state, experiments = str(values.get("state", WAITING)), values.get("experiments", [])
        if state not in (*FINAL, INTERRUPTED, WAITING) and age > MISSED_HEARTBEATS * heartbeat_s:
            return Status(LOST, f"lost: no heartbeat for {age:.0f} s, in state {state}", age, experiments)
        return Status(state, ": ".join(filter(None, [state, values.get("message")])), age, experiments)


def job_lines(remote: Remote) -> Iterator[str]:
    """Yield a line for the header and one for each job, oldest first; raises botocore's errors."""
    yield f"{'job':<22}  {'state':<12}  {'on':<12}  commit   experiments"
    prefix = remote.key(JOBS) + "/"
    pages = remote.client().get_paginator("list_objects_v2")
    listed = pages.paginate(Bucket=remote.bucket, Prefix=prefix, Delimiter="/")
    names = [entry["Prefix"][len(prefix) : -1] for page in listed for entry in page.get("CommonPrefixes", [])]
    for name in sorted(filter(JOB_ID.fullmatch, names)):
        folder = JobFolder(remote, name)
        try:
            job = folder.job()
            status = folder.status(job["heartbeat_s"])
            state, on, commit = status.state, " ".join(job["on"]), job["commit"][:7]
            experiments = ", ".join(status.experiments) or "-"
        except ParamsError:  # the client was killed while it sent the job
            state, on, commit, experiments = "not sent", "-", "-", "-"
        except (ValueError, KeyError, TypeError, AttributeError):  # another version's, or damaged
            state, on, commit, experiments = "not readable", "-", "-", "-"
        yield f"{name}  {state:<12}  {on:<12}  {commit:<7}  {experiments}"


def checked(value: str, pattern: re.Pattern[str], expected: str) -> str:
    """Return a value that matches a pattern as a whole; raises ParamsError."""
    if not pattern.fullmatch(value):
        raise ParamsError(f"'{value}' is not {expected}")
    return value
