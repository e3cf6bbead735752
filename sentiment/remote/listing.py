"""The jobs of the storage remote as a table."""

from collections.abc import Mapping
from typing import Any

from sentiment.remote.job import S3_ERRORS, JobFolder, Status, job_ids, storage_error
from sentiment.storage.s3 import STORAGE, Remote

LOST = "lost"
COLUMNS = ("job", "state", "on", "commit", "experiments")


def read_status(folder: JobFolder) -> Status | None:
    """Return the runner's last status, None before the first; raises StorageError where the storage does not answer."""
    try:
        return folder.status()
    except S3_ERRORS as error:
        raise storage_error(folder.remote, error) from None


def state_line(job: Mapping[str, Any], status: Status | None) -> tuple[str, str]:
    """Return the state of a job, `lost` where its heartbeat stopped, and a line that explains it."""
    if status is None:
        return "waiting", "waiting: its runner has not started"
    if status.is_lost(job["heartbeat_s"]):
        return LOST, f"lost: no heartbeat for {status.age:.0f} s, in state {status.state}"
    return status.state, status.line


def job_table() -> str:
    """Return a table of all jobs, oldest first, with a line for the header."""
    remote = Remote.read(STORAGE)
    rows = [COLUMNS]
    for job_id in job_ids(remote):
        folder = JobFolder(remote, job_id)
        job, status = folder.job(), read_status(folder)
        state, _ = state_line(job, status)
        names = status.values.get("experiments", []) if status else []
        rows.append((job_id, state, " ".join(job["on"]), job["commit"][:7], ", ".join(names) or "-"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines) + "\n"
