"""A full queue: refused requests cost little, so that everything else is answered; for a minute, too."""

import json
import shutil
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving.overload import measure
from tests.serving.conftest import Server, StartServer
from tests.serving.test_overload import LONG_WORK, wait_for_work

BODY = json.dumps({"inputs": "fine"}).encode()
HEAD = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY)


@contextmanager
def full(start_server: StartServer) -> Iterator[Server]:
    """A server whose queue is full for a while."""
    server = start_server("--queue-texts", "8")
    with server.client() as client, ThreadPoolExecutor(1) as pool:
        long = pool.submit(client.post, "/predict", json=LONG_WORK)
        wait_for_work(server)
        yield server
        assert not long.done(), "the queue was not full all the time"
        assert long.result(60).status_code == 200


def test_a_full_queue_refuses_before_the_body_is_read(start_server: StartServer) -> None:
    with full(start_server) as server, socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(HEAD)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 429")


def test_who_comes_back_at_once_is_answered_a_moment_later(start_server: StartServer) -> None:
    with full(start_server) as server, socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(HEAD + BODY)
        first = b""
        while not first.endswith(b"}"):  # head and body may come apart
            first += connection.recv(65_536)
        assert first.startswith(b"HTTP/1.1 429")
        start = time.monotonic()
        connection.sendall(HEAD + BODY)
        with server.client() as client:
            assert client.get("/health").status_code == 200
        assert connection.recv(65_536).startswith(b"HTTP/1.1 429")
        assert time.monotonic() - start > 0.15


@pytest.mark.slow
def test_200_connections_on_a_queue_of_64_for_a_minute(classifier: Path, sample_texts: list[str]) -> None:
    if shutil.which("wrk") is None:
        pytest.skip("no wrk (Debian: apt-get install wrk)")
    seen = measure(classifier, sample_texts, seconds=60)
    assert set(seen.load.statuses) == {200, 429}
    assert seen.load.failed == 0
    assert seen.status_afterwards == 200
    assert seen.memory_growth(since=15) <= 0.05
    # 100 ms where nothing else runs; where timers come late, a request, which waits for several turns, comes later
    late = float(np.percentile(seen.delay_ms, 99))
    assert np.percentile(seen.health_ms, 50) < 100 + late
    assert np.percentile(seen.health_ms, 99) < 100 + 30 * late
