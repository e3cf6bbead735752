"""Requests that are wrong, hostile or slow: a clear 4xx each, the server goes on, its memory does not grow."""

import contextlib
import gzip
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.serving.conftest import Server, running

pytestmark = pytest.mark.slow  # starts a server of its own

MIB = 2**20
JSON_HEADERS = {"content-type": "application/json"}


@dataclass(frozen=True)
class Bad:
    """A request and the statuses that are right for it."""

    status: int
    body: bytes = b""
    path: str = "/predict"
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=lambda: JSON_HEADERS)


def inputs(value: object) -> bytes:
    return json.dumps({"inputs": value}).encode()


ROWS = {
    "not JSON": Bad(422, b"inputs=hello"),
    "empty body": Bad(422),
    "JSON that ends too early": Bad(422, b'{"inputs": "x'),
    "a number for a text": Bad(422, inputs(42)),
    "null for a text": Bad(422, inputs(None)),
    "an object for a text": Bad(422, inputs({"text": "x"})),
    "no inputs": Bad(422, b"{}"),
    "a list for the body": Bad(422, b'["x"]'),
    "an empty list": Bad(422, inputs([])),
    "an empty text": Bad(422, inputs("")),
    "white space for a text": Bad(422, inputs(" \n\t")),
    "one bad text among good ones": Bad(422, inputs([["fine"], [7]])),
    "NaN in the body": Bad(422, b'{"inputs": NaN}'),
    "a lone surrogate": Bad(422, b'{"inputs": "\\ud800"}'),
    "bytes that are not UTF-8": Bad(422, b'{"inputs": "\xff\xfe"}'),
    "a NUL in a text": Bad(422, b'{"inputs": "a\\u0000b"}'),
    "deep nesting": Bad(422, b'{"inputs": ' + b"[" * 50_000),
    "a body of 100 MB": Bad(413, b" " * 100 * MIB),
    "a million texts": Bad(413, b'{"inputs":[' + b",".join([b'["x"]'] * 1_000_000) + b"]}"),
    "a text of a million characters": Bad(413, inputs("x" * 1_000_000)),
    "the content type of a form": Bad(415, inputs("x"), headers={"content-type": "application/x-www-form-urlencoded"}),
    "no content type": Bad(415, inputs("x"), headers={}),
    "a compressed bomb": Bad(
        415, gzip.compress(b" " * 100 * MIB), headers={**JSON_HEADERS, "content-encoding": "gzip"}
    ),
    "an unknown path": Bad(404, inputs("x"), path="/embed"),
    "path traversal": Bad(404, path="/../../../../etc/passwd", method="GET"),
    "path traversal in percent signs": Bad(404, path="/static/%2e%2e%2f%2e%2e%2fetc/passwd", method="GET"),
    "a method that the path does not have": Bad(405, inputs("x"), method="PUT"),
    "two arrays for each text": Bad(413, b'{"inputs":[' + b",".join([b"[[]]"] * 100_000) + b"]}"),
    "a negative length": Bad(400, headers={**JSON_HEADERS, "content-length": "-1"}),
    "a head of 1 MB": Bad(400, inputs("x"), headers={**JSON_HEADERS, "x-filler": "x" * MIB}),
    "not HTTP": Bad(400, path="", method=""),
}


@pytest.fixture(scope="module")
def patient_server(classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the module's own, whose memory nobody else changes."""
    with running(tmp_path_factory.mktemp("bad"), classifier) as started:
        yield started


def exchange(server: Server, request: Bad) -> tuple[int, dict[str, str]]:
    """Send a request byte for byte as it is, and return status and JSON body of the answer."""
    headers = {"host": "localhost", "content-length": str(len(request.body)), "connection": "close", **request.headers}
    lines = [f"{request.method} {request.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode() if request.method else b"\x16\x03\x01 this is TLS\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before its end, as the answer shows
            connection.sendall(head + request.body)
        return read_answer(connection)


def read_answer(connection: socket.socket) -> tuple[int, dict[str, str]]:
    received = b""
    try:
        while chunk := connection.recv(65_536):
            received += chunk
    except ConnectionResetError:
        assert received, "reset without an answer"
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), json.loads(body) if b"application/json" in head else {}


@pytest.mark.parametrize("name", ROWS)
def test_a_bad_request_gets_its_4xx_with_a_reason_and_the_server_goes_on(patient_server: Server, name: str) -> None:
    status, body = exchange(patient_server, ROWS[name])
    assert status == ROWS[name].status, body
    if status != 400:  # which uvicorn answers, before there is a request
        assert set(body) == {"error", "error_type"}
        assert 0 < len(body["error"]) < 400
    assert exchange_good(patient_server) == 200


def exchange_good(server: Server) -> int:
    with server.client() as client:
        return client.post("/predict", json={"inputs": "fine"}).status_code


def test_http_1_0_without_keep_alive_is_answered(patient_server: Server) -> None:
    body = inputs("fine")
    head = b"POST /predict HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    with socket.create_connection(("127.0.0.1", patient_server.port), timeout=30) as connection:
        connection.sendall(head + body)
        assert read_answer(connection)[0] == 200


def test_the_malformed_body_of_a_head_leaves_no_traceback(patient_server: Server) -> None:
    message = b"HEAD /docs HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx[["
    with socket.create_connection(("127.0.0.1", patient_server.port), timeout=10) as connection:
        connection.sendall(message)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 400 ")
        assert connection.recv(65_536) == b""  # closed
    assert patient_server.access()[-1]["method"] == "HEAD"
    assert "Traceback" not in patient_server.log()


def test_a_chunked_body_is_refused_at_the_limit(patient_server: Server) -> None:
    with socket.create_connection(("127.0.0.1", patient_server.port), timeout=30) as connection:
        head = (
            "POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        connection.sendall(head.encode())
        chunk = b"%x\r\n%s\r\n" % (MIB, b" " * MIB)
        for _ in range(12):
            connection.sendall(chunk)
        received = connection.recv(65_536)
    assert received.startswith(b"HTTP/1.1 413")


def test_memory_is_back_after_every_bad_request(patient_server: Server) -> None:
    process = psutil.Process(patient_server.process.pid)
    large = [ROWS[name] for name in ("a body of 100 MB", "a million texts", "a compressed bomb", "a head of 1 MB")]
    for request in large:
        exchange(patient_server, request)
    before = process.memory_info().rss
    for request in large * 2:
        exchange(patient_server, request)
    assert process.memory_info().rss < before + 40 * MIB
    assert exchange_good(patient_server) == 200


def test_nothing_of_the_texts_is_in_the_log(patient_server: Server) -> None:
    with patient_server.client() as client:
        client.post("/predict", json={"inputs": "my secret opinion"})
        client.post("/predict", json={"inputs": ["my secret opinion"] * 3})
    assert {"method", "path", "status", "ms", "texts", "request_id"} <= set(patient_server.access()[-1])
    assert "secret" not in patient_server.log()
    assert "Traceback" not in patient_server.log()
