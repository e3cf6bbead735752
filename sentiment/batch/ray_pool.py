"""The engine `ray`: workers are actors of a Ray cluster, or of a Ray on this machine where no address is given.

Ray Data's `map_batches` could run the units too. Actors are used directly, because a unit names its rows and carries
none: Ray Data would hold the list of all units in memory, its pool waits for ever when it has taken every CPU
(ray#44687) and when an actor is gone (ray#62746), and it offers no limit to a wait. Here each wait has one, and
`sentiment.batch.dispatch` replaces dead workers and repeats their units, as for local processes.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError

from sentiment.batch.dispatch import Event
from sentiment.batch.ray_cluster import cluster_size, connect
from sentiment.batch.ray_worker import UnitWorker, read_files
from sentiment.batch.units import Unit
from sentiment.batch.work import Job, Reply
from sentiment.common.errors import one_line

SECONDS_TO_ANSWER = 30  # for what is ready already
SECONDS_BETWEEN_SIGNS = 2.0


@dataclass
class _Worker:
    """An actor, the reply it owes, and the number of rows that it is asked for meanwhile."""

    actor: Any
    reply: Any = None
    rows: Any = None
    n_rows: int = 0
    asked: float = 0.0


class RayPool:
    """Actors by number; see `ray_pool`."""

    def __init__(self, size: int, job: Job, resources: Mapping[str, float]) -> None:
        self.size = size
        # two calls at a time: `run`, and `rows` beside it; a dead actor is replaced here and not by Ray
        options: dict[str, Any] = {"max_concurrency": 2, "max_restarts": 0, "max_task_retries": 0, **resources}
        self._actor = ray.remote(**options)(UnitWorker)
        self._payload = job.payload
        self._arguments = (job, ray.put(read_files(job.folder)), str(Path.cwd()))
        self._workers: dict[int, _Worker] = {}

    def submit(self, slot: int, unit: Unit) -> None:
        """Give an idle worker a unit; one that is not running is started first."""
        if slot not in self._workers:
            self._workers[slot] = _Worker(self._actor.remote(*self._arguments))
        worker = self._workers[slot]
        payload = self._payload(unit) if self._payload else None
        worker.reply = worker.actor.run.remote(unit.as_mapping(), payload)
        worker.n_rows, worker.asked = 0, time.monotonic()

    def wait(self, timeout: float) -> list[Event]:
        """Return what workers have sent, after at most `timeout` seconds."""
        slots = {worker.reply: slot for slot, worker in self._workers.items() if worker.reply is not None}
        ready, _ = ray.wait(list(slots), num_returns=1, timeout=timeout)
        if ready:  # those that are ready by now
            ready, _ = ray.wait(list(slots), num_returns=len(slots), timeout=0)
        events = [event for slot in self._workers if (event := self._sign(slot))]
        return events + [self._end(slots[reply]) for reply in ready]

    def _end(self, slot: int) -> Event:
        worker = self._workers[slot]
        try:
            reply = Reply.from_mapping(ray.get(worker.reply, timeout=SECONDS_TO_ANSWER))
        except RayActorError as error:
            self.stop(slot)
            return Event(slot, death=f"is gone: {one_line(error)[:200]}")
        except (RayError, GetTimeoutError) as error:
            self.stop(slot)
            return Event(slot, death=f"failed: {one_line(error)[:200]}")
        worker.reply = None
        return Event(slot, reply=reply)

    def _sign(self, slot: int) -> Event | None:
        """Return how many rows a worker has done since it was last asked, where it has answered."""
        worker = self._workers[slot]
        if worker.reply is None or time.monotonic() - worker.asked < SECONDS_BETWEEN_SIGNS:
            return None
        if worker.rows is None:
            worker.rows = worker.actor.rows.remote()
            return None
        if not ray.wait([worker.rows], timeout=0)[0]:
            return None
        asked, worker.rows, worker.asked = worker.rows, None, time.monotonic()
        try:
            n_rows = ray.get(asked, timeout=SECONDS_TO_ANSWER)
        except RayError:
            return None  # the reply will say so
        event, worker.n_rows = Event(slot, rows=max(0, n_rows - worker.n_rows)), max(worker.n_rows, n_rows)
        return event if event.rows else None

    def stop(self, slot: int) -> None:
        """End a worker at once."""
        ray.kill(self._workers.pop(slot).actor)

    def close(self) -> None:
        """End all workers."""
        for slot in list(self._workers):
            self.stop(slot)


@contextmanager
def ray_pool(address: str | None, workers: int | None, job: Job) -> Iterator[RayPool]:
    """Yield a pool of `workers` actors, by default as many as the cluster has room for; they end with the block.

    Raises:
        ParamsError: the cluster does not answer.
    """
    connect(address)
    try:
        size, resources = cluster_size(job.threads, job.device in {"auto", "cuda"})
        pool = RayPool(workers or size, job, resources)
        try:
            yield pool
        finally:
            pool.close()
    finally:
        ray.shutdown()
