"""A real server in a process of its own, on a free port, and its page in a browser."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser

from tests.browser import Opened, open_url
from tests.project import ROOT

START_SECONDS = 60
ASKS_LOG = "asks-log-"  # begins the ids of the requests that wait for the access log


@dataclass
class Server:
    """A running `sentiment serve`."""

    url: str
    process: subprocess.Popen[bytes]
    log_file: Path
    headers: dict[str, str] = field(default_factory=dict)

    def client(self, **settings: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, headers=self.headers, **settings)

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def log(self) -> str:
        return self.log_file.read_text()

    def access(self) -> list[dict[str, Any]]:
        """The access log's lines, of every request that has been answered.

        A line is written after its answer was sent, so that a client may be sooner. A request of our own ends the wait:
        the server writes lines in the order of its answers. A server that has ended has written all.
        """
        request_id = f"{ASKS_LOG}{uuid.uuid4().hex}"
        if self.process.poll() is None:
            httpx.get(f"{self.url}/health", headers={**self.headers, "x-request-id": request_id}, timeout=30)
        deadline = time.monotonic() + 30
        while self.process.poll() is None and request_id not in self.log():
            assert time.monotonic() < deadline, "the log has no line of a request that was answered"
            time.sleep(0.01)
        lines = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [line for line in lines if not line["request_id"].startswith(ASKS_LOG)]

    def stop(self, sig: int = signal.SIGTERM) -> int:
        self.process.send_signal(sig)
        return self.process.wait(35)


StartServer = Callable[..., Server]


@contextmanager
def running(folder: Path, classifier: Path, *arguments: str, **env: str) -> Iterator[Server]:
    """Start a server and wait until it listens; end it afterwards."""
    log_file = folder / f"serve-{time.monotonic_ns()}.log"
    command = [sys.executable, "-m", "sentiment", "serve", "--classifier", str(classifier), "--port", "0"]
    command += ["--drain-seconds", "0", *arguments]
    project = classifier.parents[1]  # whose params and metrics the server shows
    with log_file.open("wb") as log:
        process = subprocess.Popen(command, cwd=project, env={**os.environ, **env}, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not (found := re.search(r"serving on (http://\S+)", log_file.read_text())):
            assert process.poll() is None, log_file.read_text()
            assert time.monotonic() < deadline, log_file.read_text()
            time.sleep(0.05)
        key = {"Authorization": f"Bearer {env['SENTIMENT_API_KEY']}"} if "SENTIMENT_API_KEY" in env else {}
        yield Server(found[1].replace("0.0.0.0", "127.0.0.1"), process, log_file, key)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)


@pytest.fixture(scope="session")
def server(classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the default settings, for tests that leave it as it is."""
    with running(tmp_path_factory.mktemp("server"), classifier) as started:
        yield started


@pytest.fixture
def start_server(classifier: Path, tmp_path: Path) -> Iterator[StartServer]:
    """Start servers of the test's own, with arguments and environment variables."""
    with ExitStack() as stack:
        yield lambda *arguments, **env: stack.enter_context(running(tmp_path, classifier, *arguments, **env))


@pytest.fixture(scope="session")
def sample_texts() -> list[str]:
    """1,000 different texts of the length of reviews: real ones with REVIEWS_CSV, else from the bundled sample."""
    import pandas

    source = os.environ.get("REVIEWS_CSV") or ROOT / "data" / "raw" / "sample.csv"
    table = pandas.read_csv(source).dropna(subset=["Review Text"])
    texts = list(dict.fromkeys(table["Review Text"].str.strip()))[:1_000]
    assert len(texts) == 1_000
    return texts


@pytest.fixture
def opened(browser: Browser, server: Server) -> Iterator[Opened]:
    """The server's page at 1400 px, with no error and no request to another host at the end."""
    opened = open_url(browser, server.url)
    yield opened
    assert opened.errors == []
    assert opened.requests_beyond(server.url) == []
