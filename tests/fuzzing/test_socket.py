"""Random and mutated HTTP/1.1 bytes to a real server: it goes on to answer, and logs no traceback."""

import contextlib
import os
import random
import socket

import pytest

from tests.serving.conftest import Server
from tests.serving.conftest import server as server

pytestmark = pytest.mark.slow

N_MESSAGES = int(os.environ.get("FUZZ_EXAMPLES", "30")) * 20
BODY = b'{"inputs": "Soft and warm"}'
GOOD = [
    b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY)
    + BODY,
    b"POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    b"%x\r\n%s\r\n0\r\nx-trailer: y\r\n\r\n" % (len(BODY), BODY),
    b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-type: text/csv\r\naccept: text/csv\r\n"
    b"content-length: 6\r\n\r\na\n\nb,c",
    b"POST /rows?name=a.csv HTTP/1.1\r\nhost: x\r\ncontent-type: application/octet-stream\r\ncontent-length: 17\r\n\r\n"
    b"Title;Review Text",
    b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n\r\n",
    b"HEAD /docs HTTP/1.0\r\nx-request-id: \x1b[2J\r\nexpect: 100-continue\r\n\r\n",
]
WORDS = [b"\r\n", b"\r\n\r\n", b"\n", b"\0", b" ", b":", b"%0a%1b", b"\xff", b"-1", b"99999999999999999999", b"chunked",
         b"expect: 100-continue\r\n", b"content-length: 3\r\n", b"host: y\r\n", b"NaN", b"[" * 200]  # fmt: skip


def mutated(rng: random.Random) -> bytes:
    """Return one or several requests, some of whose bytes are replaced, removed or repeated; or arbitrary bytes."""
    if rng.random() < 0.1:
        return rng.randbytes(rng.randrange(1, 300))
    message = b"".join(rng.choices(GOOD, k=rng.randrange(1, 4)))
    for _ in range(rng.randrange(4)):
        start = rng.randrange(len(message))
        end = min(len(message), start + rng.choice([0, 1, 20]))
        inserted = rng.choice([*WORDS, rng.randbytes(3), message[start:end] * 2])
        message = message[:start] + inserted + message[end:]
    return message


def test_no_bytes_end_the_server_or_leave_a_traceback_in_its_log(server: Server) -> None:
    rng = random.Random(0)
    with server.client() as client:
        for number in range(N_MESSAGES):
            with (
                contextlib.suppress(ConnectionError, TimeoutError),
                socket.create_connection(("127.0.0.1", server.port), timeout=0.05) as connection,
            ):
                connection.sendall(mutated(rng))
                if rng.random() < 0.5:
                    connection.shutdown(socket.SHUT_WR)
                connection.recv(65_536)
            if number % 100 == 0:
                assert client.post("/predict", json={"inputs": "fine"}).status_code == 200
        assert client.post("/predict", json={"inputs": "fine"}).status_code == 200
        assert client.get("/health").status_code == 200
    log = server.log()
    assert "Traceback" not in log
    assert 500 not in {line["status"] for line in server.access()}
    assert "\x1b" not in log
