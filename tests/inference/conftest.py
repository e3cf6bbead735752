"""`sentiment predict` called in this process, which saves the seconds of a new one, and a client of an S3 server."""

import io
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sentiment.cli.app import main
from storage.readiness import make_bucket
from tests.s3_server import S3Server

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
        caplog.set_level(logging.INFO, logger="sentiment")
        caplog.clear()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        monkeypatch.setattr(sys, "stdout", out)
        with pytest.raises(SystemExit) as exited:
            main(["predict", "--classifier", str(classifier), *map(str, arguments)])
        return Outcome(int(exited.value.code or 0), out.buffer.getvalue().decode(), "\n".join(caplog.messages))

    return call


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of the server, which the usual AWS environment variables name too, with a bucket `reviews`."""
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    client = s3_server.client()
    make_bucket(client, "reviews")
    return client
