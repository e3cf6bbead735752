"""Load: many clients, a full queue, clients that hang up, SIGTERM and SIGKILL in the middle."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import psutil
import pytest

from sentiment.inference.classifier import SentimentClassifier
from tests.serving.conftest import Server, StartServer

LOAD = """
import asyncio, json, sys

async def post(number):
    body = json.dumps({"inputs": sys.argv[2 + number % 100]}).encode()
    head = "POST /predict HTTP/1.1\\r\\nhost: x\\r\\ncontent-type: application/json\\r\\n"
    head += f"content-length: {len(body)}\\r\\n\\r\\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
    while True:
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\\r\\n\\r\\n")
        length = answer.lower().split(b"content-length: ")[1].split(b"\\r\\n")[0]
        await reader.readexactly(int(length))
        await asyncio.sleep(0 if b" 200 " in answer[:15] else 1)  # as Retry-After says

async def main():
    posting = [asyncio.create_task(post(number)) for number in range(200)]
    done, _ = await asyncio.wait(posting, timeout=8)
    assert not done, done

asyncio.run(main())
"""
LONG_WORK = {"inputs": [["this dress is a nice one and it fits " * 20]] * 2_400}


@pytest.mark.slow
def test_1000_requests_at_the_same_time_get_the_bits_that_predict_gives(
    server: Server, sentiment: SentimentClassifier, sample_texts: list[str]
) -> None:
    """A connection for each text, all open before the first is answered."""
    all_connected = asyncio.Barrier(len(sample_texts))

    async def ask(text: str) -> list[dict[str, Any]]:
        body = json.dumps({"inputs": text}).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        await all_connected.wait()
        head = "POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        received = await reader.read()
        writer.close()
        assert received.startswith(b"HTTP/1.1 200"), received[:200]
        answer: list[dict[str, Any]] = json.loads(received.partition(b"\r\n\r\n")[2])
        return answer

    async def ask_all() -> list[list[dict[str, Any]]]:
        async with asyncio.timeout(100):
            return await asyncio.gather(*map(ask, sample_texts))

    with ThreadPoolExecutor(1) as pool:  # a browser that another test opened may keep an event loop in this thread
        answers = pool.submit(lambda: asyncio.run(ask_all())).result()
    scores = [next(item["score"] for item in answer if item["label"] == "positive") for answer in answers]
    expected = sentiment.predict_proba(sample_texts)
    assert np.array(scores, dtype=np.float32).tobytes() == expected.tobytes()
    assert [answer[0]["label"] for answer in answers] == sentiment.predict(sample_texts)


def test_a_full_queue_answers_429_at_once_while_health_answers_and_then_all_is_well(start_server: StartServer) -> None:
    server = start_server("--queue-texts", "8")
    with server.client() as client, ThreadPoolExecutor(1) as pool:
        long = pool.submit(client.post, "/predict", json=LONG_WORK)
        wait_for_work(server)
        start = time.perf_counter()
        refused = client.post("/predict", json={"inputs": "fine"})
        assert time.perf_counter() - start < 0.5
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert refused.json()["error_type"] == "Overloaded"
        assert client.get("/health").status_code == 200
        assert not long.done()
        assert long.result(60).status_code == 200
        assert client.post("/predict", json={"inputs": "fine"}).status_code == 200


def test_a_client_that_hangs_up_frees_its_place(start_server: StartServer) -> None:
    server = start_server("--queue-texts", "8")
    body = json.dumps(LONG_WORK).encode()
    head = f"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    with server.client() as client:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head.encode() + body)
            wait_for_work(server)
            assert client.post("/predict", json={"inputs": "fine"}).status_code == 429
        assert wait_until(lambda: queue_size(client) == 0)
        assert client.post("/predict", json={"inputs": "fine"}).status_code == 200
    assert wait_until(lambda: 499 in [line["status"] for line in server.access()])


@pytest.mark.slow
def test_sigterm_in_the_middle_of_load_loses_no_accepted_request_and_exits_0(start_server: StartServer) -> None:
    server = start_server()
    answered: list[bytes] = []
    unanswered: list[bytes] = []
    stop = threading.Event()

    def call() -> None:
        while not stop.is_set():
            with socket.socket() as connection:
                connection.settimeout(30)
                if connection.connect_ex(("127.0.0.1", server.port)):
                    return  # the server listens no more
                body = json.dumps({"inputs": "a review of some length, about nothing " * 5}).encode()
                head = "POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n"
                received = b""
                try:
                    connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
                    while chunk := connection.recv(65_536):
                        received += chunk
                except ConnectionError:
                    if not received:
                        return  # still in the kernel's queue when the server stopped to listen: never accepted
                (answered if received.startswith(b"HTTP/1.1 200") else unanswered).append(received)

    callers = [threading.Thread(target=call) for _ in range(16)]
    for caller in callers:
        caller.start()
    assert wait_until(lambda: len(answered) > 50)
    server.process.send_signal(signal.SIGTERM)
    for caller in callers:
        caller.join(30)
    stop.set()
    assert server.process.wait(30) == 0
    assert unanswered == []
    assert len([line for line in server.access() if line["status"] == 200]) == len(answered)


@pytest.mark.slow
def test_sigterm_answers_a_long_request_and_tells_idle_connections_to_close(start_server: StartServer) -> None:
    server = start_server()
    with server.client() as client, ThreadPoolExecutor(1) as pool:
        long = pool.submit(client.post, "/predict", json=LONG_WORK)
        wait_for_work(server)
        server.process.send_signal(signal.SIGTERM)
        answer = long.result(30)
    assert answer.status_code == 200
    assert answer.headers["connection"] == "close"
    assert server.process.wait(30) == 0


@pytest.mark.slow
def test_sigkill_and_restart_on_the_same_port_leave_nothing_behind(start_server: StartServer) -> None:
    first = start_server()
    children = psutil.Process(first.process.pid).children(recursive=True)
    assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    assert not any(child.is_running() for child in children)
    second = start_server("--port", str(first.port))
    with second.client() as client:
        assert client.post("/predict", json={"inputs": "fine"}).status_code == 200


def queue_size(client: httpx.Client) -> float:
    lines = client.get("/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith("te_queue_size ")).split()[1])


def wait_for_work(server: Server) -> None:
    with server.client() as client:
        assert wait_until(lambda: queue_size(client) > 0)


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(met)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [[], ["--queue-texts", "64"]], ids=["all are accepted", "most are refused"])
def test_health_answers_within_100_ms_while_200_connections_post_work(
    start_server: StartServer, sample_texts: list[str], arguments: list[str]
) -> None:
    """The load comes from another process: threads of this one would hold up the client that is measured.

    One of three rounds has to do it, for what else the machine does only adds; where that takes a share of the
    processor, the limit grows as the rest shrinks.
    """
    others = min(0.75, psutil.cpu_percent(3) / 100)
    server = start_server(*arguments)
    assert any(health_p99(server, sample_texts[:100]) < 100 / (1 - others) for _ in range(3))
    statuses = {line["status"] for line in server.access() if line["path"] == "/predict"}
    assert 200 in statuses
    assert statuses <= {200, 429, 499}


def health_p99(server: Server, texts: list[str]) -> float:
    """Return the 99th percentile of the milliseconds in which /health answers while 200 connections post texts."""
    load = subprocess.Popen([sys.executable, "-c", LOAD, str(server.port), *texts])
    try:
        wait_for_work(server)
        milliseconds = []
        with server.client() as client:
            while load.poll() is None:
                start = time.perf_counter()
                assert client.get("/health").status_code == 200
                milliseconds.append(1_000 * (time.perf_counter() - start))
                time.sleep(0.02)
    finally:
        load.kill()
    assert load.wait(10) == 0
    return float(np.percentile(milliseconds, 99))
