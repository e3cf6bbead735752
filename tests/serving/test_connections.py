"""What becomes of a connection: answers before the body, HEAD, upgrades, failures, and the time before the end."""

import asyncio
import gzip
import json
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from sentiment.common.errors import ParamsError
from sentiment.inference.classifier import SentimentClassifier
from sentiment.serving import protocols
from sentiment.serving.app import DrainingServer, bind, create_app
from sentiment.serving.protocols import Settings
from tests.serving.conftest import Server, StartServer
from tests.serving.test_overload import LONG_WORK, wait_for_work, wait_until

BODY = b'{"inputs": "fine"}'
HEAD = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
UNSENT = HEAD + b"content-length: 1000\r\n\r\n{"  # the rest of the body never arrives
WHOLE = HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY


def answer_and_end(port: int, sent: bytes, seconds: float = 10) -> bytes:
    """Return what the server sends until it closes the connection, which it must do in time."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(sent)
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk
    return received


@pytest.mark.slow
def test_a_401_before_the_body_closes_the_connection(start_server: StartServer) -> None:
    server = start_server(SENTIMENT_API_KEY="a-key")
    assert answer_and_end(server.port, UNSENT).startswith(b"HTTP/1.1 401")


def test_two_servers_that_start_at_one_time_on_one_port_are_told_so() -> None:
    first = bind("127.0.0.1", 0)
    second = bind("127.0.0.1", first.getsockname()[1])  # which Linux allows until one listens
    first.listen()
    server = DrainingServer(uvicorn.Config(FastAPI(), lifespan="off"), FastAPI(), 0.0)
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    with first, second, pytest.raises(ParamsError, match="Address already in use; choose another --port"):
        asyncio.run(server.startup([second]))


def test_a_413_and_a_404_before_the_body_close_the_connection(server: Server) -> None:
    assert answer_and_end(server.port, HEAD + b"content-length: 99999999\r\n\r\n{").startswith(b"HTTP/1.1 413")
    assert answer_and_end(server.port, UNSENT.replace(b"/predict", b"/nothing")).startswith(b"HTTP/1.1 404")


@pytest.mark.slow
def test_a_429_before_the_body_closes_the_connection_and_one_behind_it_does_not(start_server: StartServer) -> None:
    server = start_server("--queue-texts", "8", "--max-texts", "8000")
    with server.client() as client, ThreadPoolExecutor(1) as pool:
        longer = {"inputs": LONG_WORK["inputs"] * 3}  # than the 2 seconds in which the rest of a body may arrive
        long = pool.submit(client.post, "/predict", json=longer)
        wait_for_work(server)
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            for _ in range(2):
                connection.sendall(WHOLE)
                received = b""
                while not received.endswith(b"}"):
                    received += connection.recv(65_536)
                assert received.startswith(b"HTTP/1.1 429")
        refused = answer_and_end(server.port, UNSENT)
        assert not long.done(), "the queue was not full all the time"
        assert long.result(60).status_code == 200
    assert refused.startswith(b"HTTP/1.1 429")


def test_a_client_that_waits_for_100_continue_gets_its_refusal_at_once(server: Server) -> None:
    sent = HEAD.replace(b"json", b"pdf") + b"expect: 100-continue\r\ncontent-length: 1000\r\n\r\n"
    assert answer_and_end(server.port, sent).startswith(b"HTTP/1.1 415")


@pytest.mark.parametrize("path", ["/health", "/ping", "/", "/docs", "/openapi.json", "/assets/page.css", "/info"])
def test_head_is_answered_as_get_without_a_body(server: Server, path: str) -> None:
    with server.client() as client:
        answer = client.head(path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-length"] == str(len(client.get(path).content))
    assert wait_until(lambda: "HEAD" in [line["method"] for line in server.access()])


def test_an_upgrade_to_http_2_is_ignored_and_the_body_stays_with_its_request(server: Server) -> None:
    upgrade = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n"
    first = WHOLE.replace(b"content-length", upgrade + b"content-length")
    second = WHOLE.replace(b"content-length", b"connection: close\r\ncontent-length")
    received = answer_and_end(server.port, first + second)
    assert received.count(b"HTTP/1.1 200") == 2


@pytest.mark.parametrize("host", [b"", b"host: x\r\nhost: y\r\n"], ids=["none", "two"])
def test_a_request_has_one_host(server: Server, host: bytes) -> None:
    assert answer_and_end(server.port, WHOLE.replace(b"host: x\r\n", host)).startswith(b"HTTP/1.1 400")


def test_a_path_with_a_slash_at_its_end_is_no_redirect_to_another_host(server: Server) -> None:
    with server.client() as client:
        answer = client.get("/health/", headers={"host": "elsewhere.example"})
    assert answer.status_code == 404
    assert "location" not in answer.headers


def test_trailers_have_a_limit_and_are_no_headers(start_server: StartServer) -> None:
    server = start_server(SENTIMENT_API_KEY="a-key")
    head = HEAD + b"transfer-encoding: chunked\r\n"
    chunk = b"%x\r\n%s\r\n0\r\n" % (len(BODY), BODY)
    sneaked = answer_and_end(
        server.port, head + b"connection: close\r\n\r\n" + chunk + b"authorization: Bearer a-key\r\n\r\n"
    )
    assert sneaked.startswith(b"HTTP/1.1 401")
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    trailers = b"".join(b"x-%d: %s\r\n" % (number, b"y" * 8_000) for number in range(10_000))
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(head + b"authorization: Bearer a-key\r\n\r\n" + chunk)
        with pytest.raises(ConnectionError):
            connection.sendall(trailers)
    assert process.memory_info().rss - before < 50e6


SIZE = 8 * 2**20 - 1_000  # of the largest bodies
JSON, CSV, FILE = "application/json", "text/csv", "application/octet-stream"


def large_bodies() -> list[tuple[str, str, bytes]]:
    """Return path, content type and content of the bodies that would take the most memory."""
    wide = b",".join(b"c%d" % number for number in range(1_000)) + b"\n"
    return [
        ("/predict", JSON, json.dumps({"inputs": [["a b c d " * 10_000]] * 20}).encode()),
        ("/predict", JSON, json.dumps({"inputs": [["a b"]] * 4_096}).encode()),
        ("/predict", JSON, b'{"inputs": [' + b"[]," * (SIZE // 3) + b"[]]}"),
        ("/predict", JSON, b'{"inputs": [' + b'"",' * (SIZE // 3) + b'""]}'),
        ("/predict", JSON, b'{"inputs": [' + b"300," * (SIZE // 4) + b"1]}"),
        ("/predict", JSON, b'{"inputs": "' + b"\xf0\x9f\x91\x97" * (SIZE // 4) + b'"}'),
        ("/predict", JSON, b'{"inputs": ' + b"[" * 99_000 + b"]" * 99_000 + b"}"),
        ("/", JSON, b'{"inputs": ' + b'{"a":' * 99_000 + b"1" + b"}" * 99_001),
        ("/explain", JSON, json.dumps({"inputs": ["a " * 780] * 64}).encode()),
        ("/invocations", CSV, wide * (SIZE // len(wide))),
        ("/invocations", CSV, b"a\n" * (SIZE // 2)),
        ("/rows?name=a.csv", FILE, wide * (SIZE // len(wide))),
        ("/rows?name=a.csv", FILE, b"Title,Review Text\n" + b"," * (SIZE - 20)),
        ("/rows?name=a.csv", FILE, b"Title,Review Text\n" + b",\n" * (SIZE // 2 - 20)),
        ("/rows?name=a.txt", FILE, b"\n" * SIZE),
        ("/rows?name=a.txt", FILE, b"\1" * SIZE),
        ("/rows?name=a.jsonl", FILE, b'{"Review Text": "' + b"[" * (SIZE - 20) + b'"}'),
        ("/rows?name=a.csv.gz", FILE, gzip.compress(b"x" * 64 * 2**20, 1)),
    ]


@pytest.mark.slow
def test_large_bodies_take_at_most_300_mb_give_them_back_and_do_not_stop_the_event_loop(
    start_server: StartServer, sample_texts: list[str]
) -> None:
    server = start_server()
    process = psutil.Process(server.process.pid)
    with server.client() as client, ThreadPoolExecutor(10) as pool:
        client.timeout = httpx.Timeout(300)  # tokenizing 8 million characters takes a while
        # the encoder of each thread keeps the buffers of its largest batch, so a server is idle after ordinary work
        work = {"inputs": [["soft and warm " * 50]] * 512}
        answers = [pool.submit(client.post, "/predict", json=work) for _ in range(4)]
        answers += [pool.submit(client.post, "/explain", json={"inputs": sample_texts[:64]}) for _ in range(2)]
        assert {answer.result().status_code for answer in answers} == {200}
        idle = most = process.memory_info().rss
        seconds = []
        for _ in range(2):
            futures = [
                pool.submit(client.post, path, content=body, headers={"content-type": kind})
                for path, kind, body in large_bodies()
            ]
            while not all(future.done() for future in futures):
                start = time.perf_counter()
                assert client.get("/health").status_code == 200
                seconds.append(time.perf_counter() - start)
                most = max(most, process.memory_info().rss)
                time.sleep(0.02)
            assert {future.result().status_code for future in futures} <= {200, 413, 415, 422, 429}
        assert wait_until(lambda: process.memory_info().rss - idle < 100e6, 60)  # 35 to 60 after each of many rounds
    assert most - idle < 300e6
    assert sorted(seconds)[int(0.9 * len(seconds))] < 1.0  # generous: other tests may use the cores


def test_no_body_counts_as_held_after_its_answer(sentiment: SentimentClassifier) -> None:
    with TestClient(create_app(sentiment, Settings())) as client:
        kind = {"content-type": "application/json"}
        bodies = (b'{"inputs": "fine"}', b'{"inputs": ', b'{"inputs": "' + b"a" * 300_000 + b'"}')
        statuses = [client.post("/predict", content=body, headers=kind).status_code for body in bodies]
        assert statuses == [200, 422, 413]
        assert client.app.state.service.held_bytes == 0  # type: ignore[attr-defined]


def test_what_is_above_the_limits_of_bodies_and_rows_is_refused(
    sentiment: SentimentClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocols, "MAX_ROWS", 3)
    with TestClient(create_app(sentiment, Settings())) as client:
        kind = {"content-type": "application/octet-stream"}
        answers = [client.post("/rows?name=a.txt", content=b"fine\n" * n, headers=kind) for n in (3, 4)]
        assert [answer.status_code for answer in answers] == [200, 413]
        assert answers[1].json()["error"] == "more than 3 rows in one file; use `sentiment predict`"
        monkeypatch.setattr(protocols, "MAX_HELD_BYTES", 100)
        answers = [client.post("/predict", json={"inputs": "a" * n}) for n in (50, 100)]
        assert [answer.status_code for answer in answers] == [200, 429]
        assert answers[1].json()["error"] == "the server holds too many large bodies; try again"


def test_a_failure_of_the_server_is_500_with_an_id_and_logged_as_such(
    sentiment: SentimentClassifier, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(protocols, "check_texts", fail)
    caplog.set_level("INFO")
    with TestClient(create_app(sentiment, Settings())) as client:
        answer = client.post("/predict", json={"inputs": "fine"}, headers={"x-request-id": "an-id"})
        assert (answer.status_code, answer.json()["error_type"]) == (500, "Backend")
        assert answer.headers["x-request-id"] == "an-id"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert 'te_request_count_total{path="/predict",status="500"} 1.0' in client.get("/metrics").text
    assert '"status": 500' in caplog.text
    assert "a defect" in caplog.text


def test_metrics_hold_no_list_of_batches(sentiment: SentimentClassifier) -> None:
    """What /metrics shows is counted when it happens; nothing waits until somebody asks."""
    with TestClient(create_app(sentiment, Settings())) as client:
        for _ in range(3):
            client.post("/predict", json={"inputs": "fine"})
        service = client.app.state.service  # type: ignore[attr-defined]
        values = [*vars(service).values(), *vars(service.queue).values()]
        assert {len(value) for value in values if isinstance(value, list)} == {0}
        assert "te_batch_next_size_count 3.0" in client.get("/metrics").text


@pytest.mark.slow
def test_ctrl_c_ends_the_server_without_the_time_to_drain(start_server: StartServer) -> None:
    server = start_server("--drain-seconds", "300")
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(60) == 0


@pytest.mark.slow
def test_sigterm_answers_a_request_that_is_never_sent_whole(start_server: StartServer) -> None:
    server = start_server()
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        head = "POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n"
        connection.sendall(f"{head}expect: 100-continue\r\n\r\n".encode())
        assert connection.recv(65_536).startswith(b"HTTP/1.1 100")
        connection.sendall(b'{"inputs": ')
        server.process.send_signal(signal.SIGTERM)
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert received.startswith(b"HTTP/1.1 503"), received
    assert b"the server stopped before" in received
    assert server.process.wait(30) == 0
    assert "Traceback" not in server.log()
    assert [line["status"] for line in server.access()] == [503]


@pytest.mark.slow
def test_sigterm_leaves_time_in_which_the_server_is_not_ready_and_answers(start_server: StartServer) -> None:
    server = start_server("--drain-seconds", "3")
    with server.client() as client:
        assert client.get("/health").status_code == 200
        server.process.send_signal(signal.SIGTERM)
        assert wait_until(lambda: client.get("/health").status_code == 503)
        assert client.get("/ping").status_code == 503
        answer = client.post("/predict", json={"inputs": "fine"})
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
    assert server.process.wait(30) == 0
