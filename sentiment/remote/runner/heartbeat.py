"""Writes status and new lines of the log to the storage every few seconds, and reads whether to stop from there."""

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from .layout import PREPARING, STATUS, STOP
from .log import Log
from .store import Store

LOG_S = 2.0  # seconds between parts of the log, while there are new lines


class Heartbeat:
    """The status of a job, written to the storage in a thread of its own."""

    def __init__(self, store: Store, log: Log, seconds: float, on_stop: Callable[[str], None]) -> None:
        self._store, self._log, self._seconds, self._on_stop = store, log, seconds, on_stop
        self._status: dict[str, Any] = {"state": PREPARING, "started": _now()}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self.outages = 0  # requests that failed; the runner then knows why a pull or push did

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the thread; what is written afterwards is written by the caller."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()

    def set(self, **status: object) -> None:
        """Change the status; the next heartbeat tells it."""
        self._status = {**self._status, **status}

    def get(self, key: str) -> Any:
        """Return a value of the status, None where it is not set."""
        return self._status.get(key)

    def put(self) -> None:
        """Write the status now; raises botocore's errors."""
        status = {**self._status, "log_parts": self._log.parts, "updated": _now()}
        self._store.put(STATUS, json.dumps(status, indent=2).encode())

    def _run(self) -> None:
        next_status = 0.0
        while not self._end.is_set():
            try:
                self._log.upload()
                if time.monotonic() >= next_status:
                    self.put()
                    next_status = time.monotonic() + self._seconds
                    if self._store.has(STOP):
                        self._on_stop("stopped by `sentiment remote stop`")
            except Exception:
                self.outages += 1
            self._end.wait(min(LOG_S, self._seconds))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
