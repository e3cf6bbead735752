"""The engine `local`: worker processes of this machine, each with its share of the threads."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import Any

from sentiment.batch.dispatch import Event
from sentiment.batch.units import Unit
from sentiment.batch.work import Job, Reply, load_worker
from sentiment.common.child_process import SECONDS_TO_END, ChildProcess

SECONDS_BETWEEN_SIGNS = 0.5


def available_cpus() -> int:
    """Return how many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def work(connection: Connection, job: Job) -> None:
    """Do the units that arrive, until the driver closes the connection or dies."""
    worker = load_worker(job, job.folder)
    last_sign, rows = time.monotonic(), 0

    def on_rows(n_rows: int) -> None:
        nonlocal last_sign, rows
        rows += n_rows
        if time.monotonic() - last_sign > SECONDS_BETWEEN_SIGNS:
            connection.send(rows)
            last_sign, rows = time.monotonic(), 0

    while True:
        unit = Unit.from_mapping(connection.recv())
        reply = worker if isinstance(worker, Reply) else worker.run(unit, on_rows)
        connection.send(reply.as_mapping())
        rows = 0


class LocalPool:
    """Worker processes by number; see `local_pool`."""

    def __init__(self, size: int, job: Job) -> None:
        self.size = size
        self._job = job
        self._workers: dict[int, ChildProcess] = {}

    def submit(self, slot: int, unit: Unit) -> None:
        """Give an idle worker a unit; one that is not running is started first."""
        if slot not in self._workers:
            self._workers[slot] = ChildProcess(work, self._job)
        try:
            self._workers[slot].connection.send(unit.as_mapping())
        except (BrokenPipeError, ConnectionResetError):
            return  # it died while it was idle: `wait` sees that and says so

    def wait(self, timeout: float) -> list[Event]:
        """Return what workers have sent, after at most `timeout` seconds."""
        slots = {worker.connection: slot for slot, worker in self._workers.items()}
        ready: Any = wait(list(slots), timeout)
        events = []
        for connection in ready:
            slot = slots[connection]
            try:
                message = connection.recv()
            except (EOFError, ConnectionResetError):
                events.append(Event(slot, death=self._describe_death(slot)))
                continue
            if isinstance(message, int):
                events.append(Event(slot, rows=message))
            else:
                events.append(Event(slot, reply=Reply.from_mapping(message)))
        return events

    def stop(self, slot: int) -> None:
        """End a worker at once."""
        self._workers.pop(slot).stop()

    def _describe_death(self, slot: int) -> str:
        process = self._workers[slot].process
        process.join(SECONDS_TO_END)
        code = process.exitcode
        self.stop(slot)
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            return f"was ended by {name}" + (", as where memory is short" if name == "SIGKILL" else "")
        return f"ended with status {code}"


@contextmanager
def local_pool(size: int, job: Job) -> Iterator[LocalPool]:
    """Yield a pool whose workers start when they get their first unit, and are ended when the block ends."""
    pool = LocalPool(size, job)
    try:
        yield pool
    finally:
        for slot in list(pool._workers):
            pool.stop(slot)
