"""The jobs of the storage remote as a table."""

from sentiment.remote.job import S3_ERRORS, JobFolder, job_ids, storage_error
from sentiment.tracking.remote import STORAGE, Remote

LOST = "lost"
COLUMNS = ("job", "state", "on", "commit", "experiments")


def state_line(folder: JobFolder) -> tuple[str, str]:
    """Return the state of a job, `lost` where its heartbeat stopped, and a line that explains it.

    Raises:
        ParamsError: there is no such job.
        StorageError: the storage does not answer.
    """
    job = folder.job()
    try:
        status = folder.status()
    except S3_ERRORS as error:
        raise storage_error(folder.remote, error) from None
    if status is None:
        return "waiting", "waiting: its runner has not started"
    if status.is_lost(job["heartbeat_s"]):
        return LOST, f"lost: no heartbeat for {status.age:.0f} s, in state {status.state}"
    return status.state, f"{status.state}{': ' if status.message else ''}{status.message}"


def job_table() -> str:
    """Return a table of all jobs, oldest first, with a line for the header."""
    remote = Remote.read(STORAGE)
    rows = [COLUMNS]
    for job_id in job_ids(remote):
        folder = JobFolder(remote, job_id)
        job = folder.job()
        state, _ = state_line(folder)
        status = folder.status()
        names = status.values.get("experiments", []) if status else []
        rows.append((job_id, state, " ".join(job["on"]), job["commit"][:7], ", ".join(names) or "-"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines) + "\n"
