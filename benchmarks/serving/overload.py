"""More connections than the queue holds: what is answered, how soon /health answers, how much memory it takes."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic, perf_counter, sleep
from urllib.parse import urlsplit

import numpy as np
import psutil

from benchmarks.serving.processes import server
from benchmarks.serving.wrk import Load, run_wrk

CONNECTIONS, QUEUE_TEXTS = 200, 64
HEALTH_INTERVAL = 0.2  # seconds
RETRY_SECONDS = 1  # what Retry-After says
MAX_HEALTH_MS, MAX_MEMORY_GROWTH = 100, 0.05


@dataclass(frozen=True)
class Overload:
    """What was seen.

    Attributes:
        load: what the clients saw.
        health_ms: seconds of each answer of /health, times 1,000.
        delay_ms: how much too late this process woke up before each, which no server can prevent on a busy machine.
        memory: MiB of the server and its processes by second since the start, resident.
        status_afterwards: of a normal request right after the load, sent again after a second where it gets 429.
    """

    load: Load
    health_ms: Sequence[float]
    delay_ms: Sequence[float]
    memory: Mapping[float, float]
    status_afterwards: int

    def memory_growth(self, since: float) -> float:
        """Share by which memory at the end is above that at `since` seconds."""
        before = next(value for second, value in self.memory.items() if second >= since)
        return list(self.memory.values())[-1] / before - 1

    def rows(self, since: float) -> list[dict[str, object]]:
        """Return the rows of a table: what was seen, beside the target."""
        median, health = np.percentile(self.health_ms, [50, 99]).tolist()
        delay = float(np.percentile(self.delay_ms, 99))
        statuses = ", ".join(f"{status}: {count:,}" for status, count in sorted(self.load.statuses.items()))
        growth = f"{self.memory_growth(since):+.1%}"
        return [
            {"": "answers by status", "seen": statuses, "target": "200 and 429 only"},
            {"": "connections that failed", "seen": self.load.failed, "target": 0},
            {"": "/health, p50 in ms", "seen": median, "target": "-"},
            {"": "/health, p99 in ms", "seen": health, "target": f"at most {MAX_HEALTH_MS}"},
            {"": "delay of a timer beside it, p99 in ms", "seen": delay, "target": "-"},
            {"": f"memory at the end, from {since:.0f} s on", "seen": growth, "target": f"+{MAX_MEMORY_GROWTH:.0%}"},
            {"": "a normal request afterwards", "seen": self.status_afterwards, "target": 200},
        ]


def measure(classifier: Path, texts: Sequence[str], seconds: float) -> Overload:
    """Overload a server with a queue of 64 for `seconds` and return what was seen."""
    health_ms: list[float] = []
    delay_ms: list[float] = []
    memory: dict[float, float] = {}
    with server(classifier, "--queue-texts", str(QUEUE_TEXTS)) as (url, pid), ThreadPoolExecutor(1) as pool:
        process = psutil.Process(pid)
        started = monotonic()
        load = pool.submit(run_wrk, f"{url}/predict", texts, CONNECTIONS, seconds)
        while not load.done():
            before = perf_counter()
            sleep(HEALTH_INTERVAL)
            delay_ms.append(1_000 * (perf_counter() - before - HEALTH_INTERVAL))
            status, milliseconds = ask(url, "GET", "/health")
            health_ms.append(milliseconds if status == 200 else float("inf"))
            memory[monotonic() - started] = resident(process) / 2**20
        afterwards, _ = ask(url, "POST", "/predict", b'{"inputs": "Soft and warm"}')
        if afterwards == 429:  # texts of clients that have left were still in the queue
            sleep(RETRY_SECONDS)
            afterwards, _ = ask(url, "POST", "/predict", b'{"inputs": "Soft and warm"}')
        return Overload(load.result(), health_ms, delay_ms, memory, afterwards)


def resident(process: psutil.Process) -> int:
    """Return the bytes of memory of a process and of those that it has started."""
    total = 0
    for one in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # ended since it was listed
            total += one.memory_info().rss
    return total


def ask(url: str, method: str, path: str, body: bytes | None = None) -> tuple[int, float]:
    """Return status and milliseconds of one request on a connection of its own."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=30)
    started = perf_counter()
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        status = connection.getresponse().status
        return status, 1_000 * (perf_counter() - started)
    finally:
        connection.close()
