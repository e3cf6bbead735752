"""`sentiment predict` called in this process, which saves the seconds of a new one, and a client of an S3 server."""

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sentiment.cli.app import main
from sentiment.storage.s3 import _filesystem
from tests.command_call import call_command
from tests.s3_server import S3Server
from tools.s3_server import make_bucket

EXPLAIN = (sys.executable, "-m", "sentiment", "predict", "--explain")
TEXT = "Lovely soft dress 👗, but the seams came loose and I returned it because it was itchy"


@dataclass(frozen=True)
class Outcome:
    """Exit status, standard output and log of one call."""

    status: int
    out: str
    stderr: str


Predict = Callable[..., Outcome]


@pytest.fixture
def predict(classifier: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Predict:
    """Call `sentiment predict` with arguments and bytes on standard input."""

    def call(*arguments: object, stdin: bytes = b"") -> Outcome:
        out = io.TextIOWrapper(io.BytesIO())
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        monkeypatch.setattr(sys, "stdout", out)
        command = ["predict", "--classifier", str(classifier), *map(str, arguments)]
        status, log = call_command(lambda: main(command), caplog, "sentiment")
        return Outcome(status, out.buffer.getvalue().decode(), log)

    return call


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of the server, which the usual AWS environment variables name too, with a bucket `reviews`."""
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    _filesystem.cache_clear()
    client = s3_server.client()
    make_bucket(client, "reviews")
    return client
