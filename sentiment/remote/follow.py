"""Follows a job: its log as it grows, a bar of its stages, and its end; every wait has a limit."""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from sentiment.common.errors import StorageError
from sentiment.remote.backends import Backend
from sentiment.remote.job import S3_ERRORS, JobFolder, Status, storage_error
from sentiment.remote.runner.layout import MISSED_HEARTBEATS, log_part
from sentiment.remote.runner.store import is_absent, is_outage

POLL_S = 1.0
OUTAGE_S = 300.0  # seconds without an answer of the storage, after which following ends; the job goes on
STAGE_DONE = re.compile(r"^(?:Running stage '|Stage '.*(?:didn't change|is cached))", re.MULTILINE)


class LostJobError(StorageError):
    """The runner no longer gives a sign of life."""


def new_text(folder: JobFolder, parts: int) -> tuple[str, int]:
    """Return what the log has after its first `parts` parts, and how many there are now; raises botocore's errors."""
    text = []
    while True:
        try:
            text.append(folder.store.get(log_part(parts + 1)).decode("utf-8", "replace"))
        except S3_ERRORS as error:
            if is_absent(error):
                return "".join(text), parts
            raise
        parts += 1


def read_log(folder: JobFolder) -> str:
    """Return the log of a job as it is now; raises StorageError."""
    try:
        return new_text(folder, 0)[0]
    except S3_ERRORS as error:
        raise storage_error(folder.remote, error) from None


def follow(folder: JobFolder, backend: Backend) -> Status:
    """Write the log of a job to standard output until it ends; return its last status.

    Raises:
        LostJobError: the runner did not start within the limit of its backend, or its heartbeat stopped.
        StorageError: the storage did not answer for `OUTAGE_S` seconds.
    """
    job = folder.job()
    parts, begun = 0, time.monotonic()
    outage_since = grace_until = 0.0
    with _bar(len(job["runs"]) * job["stages"]) as advance:
        while True:
            try:
                status = folder.status()  # before the log: a final status is written after the log's end
                text, parts = new_text(folder, parts)
            except S3_ERRORS as error:
                if not is_outage(error):
                    raise storage_error(folder.remote, error) from None
                outage_since = outage_since or time.monotonic()
                if time.monotonic() - outage_since > OUTAGE_S:
                    raise StorageError(f"{storage_error(folder.remote, error)}; {fetch_hint(folder)}") from None
                time.sleep(POLL_S)
                continue
            if outage_since:  # the runner could not write either
                grace_until, outage_since = time.monotonic() + MISSED_HEARTBEATS * job["heartbeat_s"], 0.0
            advance(text, status.state if status else "waiting")
            if status and status.is_final:
                return status
            if time.monotonic() > grace_until:
                check_alive(folder, backend, status, time.monotonic() - begun, job["heartbeat_s"])
            time.sleep(POLL_S)


def check_alive(
    folder: JobFolder, backend: Backend, status: Status | None, following_s: float, heartbeat_s: float
) -> None:
    """Raise LostJobError if a job has no runner: it never came, or its heartbeat stopped."""
    if status is None:
        state = backend.describe(folder)
        if state.is_over or following_s > backend.start_limit_s:
            raise LostJobError(f"job {folder.id} did not start: {state.text}")
    elif status.is_lost(heartbeat_s):
        state = backend.describe(folder)
        raise LostJobError(
            f"job {folder.id}: no heartbeat for {status.age:.0f} s, in state {status.state} ({state.text}); "
            f"{fetch_hint(folder)}"
        )


def fetch_hint(folder: JobFolder) -> str:
    """Return the command that fetches what a job has pushed, for when following it has ended."""
    return f"`sentiment remote fetch {folder.id}` brings what it has pushed"


class _Advance:
    """Shows new text above the bar, and moves the bar by the stages in it."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("waiting", total=total or None)

    def __call__(self, text: str, state: str) -> None:
        if text:
            if self._progress.live.is_started:
                self._progress.console.print(text, end="", markup=False, highlight=False)
            sys.stdout.write("" if self._progress.live.is_started else text)
            sys.stdout.flush()
        self._progress.update(self._task, description=state, advance=len(STAGE_DONE.findall(text)))


@contextmanager
def _bar(total: int) -> Iterator[_Advance]:
    """Yield a bar on standard error where that is a terminal, and one that is not shown elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total} stages"))
    with Progress(
        *columns, TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        yield _Advance(bar, total)
