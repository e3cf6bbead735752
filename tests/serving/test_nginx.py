"""deploy/nginx.conf in a real nginx before a real server: slow clients, many clients, odd requests."""

import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from sentiment.inference.classifier import SentimentClassifier
from tests.project import ROOT
from tests.serving.conftest import Server, running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("nginx") is None, reason="no nginx (Debian: apt-get install nginx-light)"),
]

MIB = 2**20
BODY = b'{"inputs": "fine"}'
HOST = "sentiment.example.com"
HEAD = f"POST /predict HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/json\r\n".encode()
HEAD += b"content-length: %d\r\n"
REQUEST = HEAD % len(BODY) + b"\r\n" + BODY
SLOW, OTHER = "127.0.0.2", "127.0.0.1"  # addresses of two clients


@dataclass
class Proxy:
    """A running nginx."""

    port: int
    tls: ssl.SSLContext

    @contextmanager
    def connect(self, address: str = OTHER) -> Iterator[ssl.SSLSocket]:
        """Open a TLS connection that comes from `address`."""
        plain = socket.create_connection(("127.0.0.1", self.port), 30, (address, 0))
        with plain, self.tls.wrap_socket(plain, server_hostname=HOST) as connection:
            yield connection

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=f"https://127.0.0.1:{self.port}", verify=self.tls, timeout=60)


@dataclass
class Proxied(Proxy):
    """A server behind nginx."""

    server: Server

    def n_descriptors(self) -> int:
        return psutil.Process(self.server.process.pid).num_fds()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for sentiment.example.com, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    files = folder / "certificate.pem", folder / "key.pem"
    subject = ["-subj", "/CN=sentiment.example.com", "-addext", "subjectAltName=DNS:sentiment.example.com"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject]
    subprocess.run([*command, "-out", files[0], "-keyout", files[1]], check=True, capture_output=True, timeout=60)
    return files


@pytest.fixture(scope="module")
def proxied(
    classifier: Path, certificate: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxied]:
    """A server behind nginx."""
    folder = tmp_path_factory.mktemp("nginx")
    with running(folder, classifier) as server, nginx(folder, certificate, server.port) as proxy:
        yield Proxied(proxy.port, proxy.tls, server)


@contextmanager
def nginx(folder: Path, certificate: tuple[Path, Path], server_port: int) -> Iterator[Proxy]:
    """Run nginx with the lines of the configuration changed that say `yours`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    changes = {
        "127.0.0.1:8080": f"127.0.0.1:{server_port}",
        "listen 443": f"listen 127.0.0.1:{port}",
        "/etc/ssl/certs/sentiment.pem": str(certificate[0]),
        "/etc/ssl/private/sentiment.key": str(certificate[1]),
        "http {": f"http {{ access_log off; client_body_temp_path {folder}/bodies; proxy_temp_path {folder}/answers;",
    }
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    configuration, errors = folder / "nginx.conf", folder / "nginx.log"
    configuration.write_text(text)
    user = "user root;" if os.geteuid() == 0 else ""  # whose files the certificate and the bodies are
    settings = f"daemon off; pid {folder}/nginx.pid; error_log {errors}; {user}"
    command = ["nginx", "-p", str(folder), "-e", str(errors), "-c", str(configuration), "-g", settings]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0, checked.stderr
    process = subprocess.Popen(command)
    try:
        deadline = time.monotonic() + 30
        while not is_open(port):
            assert process.poll() is None, errors.read_text()
            assert time.monotonic() < deadline, errors.read_text()
            time.sleep(0.05)
        yield Proxy(port, ssl.create_default_context(cafile=certificate[0]))
    finally:
        process.terminate()
        process.wait(30)


def is_open(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def read_answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of one answer; status 0 where the connection ended without an answer."""
    received = b""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while b"\r\n\r\n" not in received and (chunk := connection.recv(65_536)):
            received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    if not head:
        return 0, {}, b""
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)) and (chunk := connection.recv(65_536)):
        body += chunk
    return int(first.split()[1]), headers, body


def test_an_answer_through_nginx_has_the_bytes_that_predict_gives(
    proxied: Proxied, sentiment: SentimentClassifier, sample_texts: list[str]
) -> None:
    with proxied.client() as client:
        client.headers["host"] = HOST
        client.headers["x-request-id"] = "of-the-client"
        answer = client.post(
            "/predict",
            json={"inputs": [[text] for text in sample_texts[:50]]},
            extensions={"sni_hostname": HOST},
        )
    assert answer.status_code == 200
    scores = [next(item["score"] for item in items if item["label"] == "positive") for items in answer.json()]
    assert np.array(scores, dtype=np.float32).tobytes() == sentiment.predict_proba(sample_texts[:50]).tobytes()
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
    assert proxied.server.access()[-1]["request_id"] == answer.headers["x-request-id"]


def test_slow_clients_hold_no_connection_of_the_server_and_are_closed(proxied: Proxied) -> None:
    """Half a head, a dripped body for a path that is not there, and a stray CRLF behind a request: 90 of each."""
    dripped = (HEAD % 9_000).replace(b"/predict", b"/nothing") + b"\r\n"
    with ExitStack() as stack:
        idle_descriptors = proxied.n_descriptors()
        connections = [[stack.enter_context(proxied.connect(SLOW)) for _ in range(90)] for _ in range(3)]
        half_heads, drippers, strays = connections
        for half_head, dripper, stray in zip(half_heads, drippers, strays, strict=True):
            half_head.sendall(REQUEST[:40])
            dripper.sendall(dripped)
            stray.sendall(REQUEST + b"\r\n")
        assert [read_answer(stray)[0] for stray in strays[:10]] == [200] * 10  # fewer than 100 at one time
        end = time.monotonic() + 12
        while time.monotonic() < end:
            with proxied.connect() as connection:
                connection.sendall(REQUEST)
                assert read_answer(connection)[0] == 200
            for dripper in drippers:
                dripper.sendall(b" ")
            assert proxied.n_descriptors() < idle_descriptors + 110  # that nginx keeps open
            time.sleep(1)
        for connection in (*half_heads[:5], *strays[:5]):
            connection.settimeout(5)
            assert read_answer(connection)[0] in (0, 400, 408)
    # no body was complete, so that nginx passed nothing
    assert 404 not in [line["status"] for line in proxied.server.access()]


def test_requests_of_one_address_above_100_get_429_and_others_are_answered(proxied: Proxied) -> None:
    with ExitStack() as stack:
        for _ in range(100):
            connection = stack.enter_context(proxied.connect(SLOW))
            connection.sendall(HEAD % 9_000 + b"\r\n{")
        time.sleep(0.5)  # nginx reads what was sent
        with proxied.connect(SLOW) as connection:
            connection.sendall(REQUEST)
            status, headers, body = read_answer(connection)
        assert (status, headers["retry-after"], headers["content-type"]) == (429, "1", "application/json")
        assert json.loads(body)["error_type"] == "Overloaded"
        with proxied.connect() as connection:
            connection.sendall(REQUEST)
            assert read_answer(connection)[0] == 200


def test_400_clients_at_one_time_are_all_answered(proxied: Proxied) -> None:
    """A connection for each, from five addresses, all open before the first request is sent."""
    with ExitStack() as stack, ThreadPoolExecutor(16) as pool:
        connections = [stack.enter_context(proxied.connect(f"127.0.0.{2 + index % 5}")) for index in range(400)]
        for connection in connections:
            connection.sendall(REQUEST)
        statuses = [status for status, _, _ in pool.map(read_answer, connections)]
    assert statuses == [200] * 400


@pytest.mark.parametrize(
    "upgrade",
    [b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n",
     b"connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: YQ==\r\n"],
)  # fmt: skip
def test_an_upgrade_is_not_passed_and_the_body_stays_with_its_request(proxied: Proxied, upgrade: bytes) -> None:
    with proxied.connect() as connection:
        for _ in range(2):
            connection.sendall(HEAD % len(BODY) + upgrade + b"\r\n" + BODY)
            assert read_answer(connection)[0] == 200


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        (400, REQUEST.replace(b"host: sentiment.example.com\r\n", b"")),
        (400, REQUEST.replace(b"host:", b"host: other\r\nhost:")),
        (400, REQUEST.replace(b"content-length", b"transfer-encoding: chunked\r\ncontent-length")),
        (400, REQUEST.replace(b"content-type", b"x-filler: " + b"x" * 70_000 + b"\r\ncontent-type")),
        (413, HEAD % (9 * MIB) + b"\r\n"),
    ],
    ids=["no Host", "two Hosts", "two lengths", "a head of 70 kB", "a body of 9 MiB"],
)
def test_an_odd_request_is_refused_by_nginx(proxied: Proxied, status: int, sent: bytes) -> None:
    n_requests = len(proxied.server.access())
    with proxied.connect() as connection:
        connection.sendall(sent)
        found, headers, body = read_answer(connection)
    assert found == status
    assert len(proxied.server.access()) == n_requests
    if status == 413:
        assert (headers["content-type"], json.loads(body)["error_type"]) == ("application/json", "Validation")


def test_a_server_that_is_gone_is_503_with_a_reason(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and does not listen
        with nginx(tmp_path, certificate, closed.getsockname()[1]) as proxy, proxy.connect() as connection:
            connection.sendall(REQUEST)
            status, headers, body = read_answer(connection)
    assert (status, headers["retry-after"], json.loads(body)["error_type"]) == (503, "1", "Unhealthy")
