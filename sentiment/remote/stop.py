"""Stops a job: a request in its folder, which the runner reads with each heartbeat."""

import time

from sentiment.common.errors import StorageError
from sentiment.remote.backend_selection import backend_of
from sentiment.remote.job import S3_ERRORS, JobFolder, storage_error
from sentiment.remote.runner.layout import STOP

STOP_LIMIT_S = 180.0  # the runner pushes what is complete
POLL_S = 1.0


def stop(folder: JobFolder) -> str:
    """Ask a job to stop and wait for it; return how it ended, as one line.

    Raises:
        ParamsError: there is no such job.
        StorageError: the storage does not answer, or the job goes on.
    """
    heartbeat_s = folder.job()["heartbeat_s"]
    backend = backend_of(folder)
    deadline = time.monotonic() + STOP_LIMIT_S + 2 * heartbeat_s
    try:
        folder.store.put(STOP, b"")
        backend.cancel(folder)
        while time.monotonic() < deadline:
            status = folder.status()
            if status and status.is_final:
                return status.line
            if (status is None or status.is_lost(heartbeat_s)) and backend.describe(folder).is_over:
                return "its runner is gone; nothing runs"
            time.sleep(POLL_S)
    except S3_ERRORS as error:
        raise storage_error(folder.remote, error) from None
    raise StorageError(f"job {folder.id}: still running {STOP_LIMIT_S:.0f} s after the request; look at where it runs")
