"""Units and a pool of workers in; each unit's Reply out. A worker that dies is replaced and its unit tried again.

A `concurrent.futures.ProcessPoolExecutor` could do the local part, but it gives up all units when one process dies.
"""

import logging
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from sentiment.batch.errors import RunError
from sentiment.batch.units import Unit
from sentiment.batch.work import Reply

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3  # of a unit whose worker died
STALL_SECONDS = 600  # without a sign from a worker, after which it is ended; loading a model is the longest silence
POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Event:
    """A sign from a worker.

    Attributes:
        slot: number of the worker.
        rows: texts done since the last sign.
        reply: the end of its unit, or None.
        death: why it ended without a reply, or "".
    """

    slot: int
    rows: int = 0
    reply: Reply | None = None
    death: str = ""


class Pool(Protocol):
    """Workers of an engine, by number."""

    size: int

    def submit(self, slot: int, unit: Unit) -> None:
        """Give an idle worker a unit; one that is not running is started first."""

    def wait(self, timeout: float) -> list[Event]:
        """Return what workers have sent, after at most `timeout` seconds."""

    def stop(self, slot: int) -> None:
        """End a worker at once."""


@dataclass
class Attempt:
    """A unit that a worker has."""

    unit: Unit
    number: int = 1
    rows: int = 0
    last_sign: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Progress:
    """Rows done, and the reply of a unit when it is complete; `rows` is negative where work was lost."""

    unit: Unit
    rows: int
    reply: Reply | None = None


def dispatch(pool: Pool, units: Iterator[Unit], command: str = "batch") -> Iterator[Progress]:
    """Yield progress and replies until every unit has one; a fatal reply is the last.

    Args:
        pool: that does the units.
        units: each is taken when a worker is idle.
        command: the first word of a log line.

    Raises:
        RunError: workers die one after the other and none has finished a unit.
    """
    busy: dict[int, Attempt] = {}
    again: deque[Attempt] = deque()
    deaths = 0
    while True:
        for slot in range(pool.size):
            if slot not in busy and (attempt := _next(again, units)):
                pool.submit(slot, attempt.unit)
                busy[slot] = attempt
        if not busy:
            return
        events = pool.wait(POLL_SECONDS)
        heard = {event.slot for event in events}
        for slot, attempt in busy.items():
            silent = time.monotonic() - attempt.last_sign
            if slot not in heard and silent > STALL_SECONDS:
                pool.stop(slot)
                events.append(Event(slot, death=f"gave no sign for {STALL_SECONDS} s"))
        for event in events:
            if event.slot not in busy:
                continue
            attempt = busy[event.slot]
            attempt.last_sign = time.monotonic()
            if event.reply:
                del busy[event.slot]
                deaths = 0
                yield Progress(attempt.unit, event.reply.counts.rows - attempt.rows, event.reply)
                if event.reply.outcome == "fatal":
                    return
            elif event.death:
                del busy[event.slot]
                deaths += 1
                if deaths >= MAX_ATTEMPTS * pool.size + MAX_ATTEMPTS:
                    raise RunError(f"{deaths} workers ended without having finished a unit; the last {event.death}")
                log.warning("%s: %s: its worker %s", command, attempt.unit.name, event.death)
                yield from _lost(attempt, event.death, again)
            else:
                attempt.rows += event.rows
                yield Progress(attempt.unit, event.rows)


def _next(again: deque[Attempt], units: Iterator[Unit]) -> Attempt | None:
    if again:
        return again.popleft()
    unit = next(units, None)
    return Attempt(unit) if unit else None


def _lost(attempt: Attempt, death: str, again: deque[Attempt]) -> Iterator[Progress]:
    """Put a unit whose worker died back, or give it up."""
    if attempt.number < MAX_ATTEMPTS:
        again.append(Attempt(attempt.unit, attempt.number + 1))
        yield Progress(attempt.unit, -attempt.rows)
    else:
        reason = f"{attempt.unit.name}: its worker {death}, {MAX_ATTEMPTS} times"
        yield Progress(attempt.unit, -attempt.rows, Reply("failed", reason))
