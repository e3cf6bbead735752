"""Starts the processes that are measured: this project's server, the plain server, and `sentiment predict`."""

import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, perf_counter, sleep

from sentiment.common.errors import InputError

START_SECONDS = 120


@contextmanager
def server(classifier: Path, *arguments: str) -> Iterator[tuple[str, int]]:
    """Run `sentiment serve` and yield its address and process id; its access log goes to a file, as in use."""
    command = [sys.executable, "-m", "sentiment", "serve", "--classifier", str(classifier), "--port", "0", *arguments]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "serve.log")

        def address() -> str | None:
            match = re.search(r"serving on (http://\S+)", log.read_text())
            return match and match[1]

        with _running(command, log) as process:
            yield _wait_for(address, process, log), process.pid


@contextmanager
def plain_server(classifier: Path) -> Iterator[str]:
    """Run the plain handler and yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.serving.plain", "--classifier", str(classifier), "--port", str(port)]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "plain.log")

        def address() -> str | None:
            with socket.socket() as client:
                return None if client.connect_ex(("127.0.0.1", port)) else f"http://127.0.0.1:{port}"

        with _running(command, log) as process:
            yield _wait_for(address, process, log)


def predict_seconds(classifier: Path, texts: Sequence[str]) -> float:
    """Return the seconds of `sentiment predict` on the texts; its start, measured with one text, is left out."""
    return _predict_seconds(classifier, texts) - _predict_seconds(classifier, texts[:1])


def _predict_seconds(classifier: Path, texts: Sequence[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "texts.txt")
        source.write_text("".join(" ".join(text.split()) + "\n" for text in texts), encoding="utf-8")
        command = [sys.executable, "-m", "sentiment", "predict", str(source), "--classifier", str(classifier)]
        started = perf_counter()
        subprocess.run(
            [*command, "--output", str(Path(folder, "labels.csv"))], check=True, capture_output=True, timeout=600
        )
        return perf_counter() - started


@contextmanager
def _running(command: Sequence[str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, "PYTHONPATH": str(Path.cwd())}
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def _wait_for(address: Callable[[], str | None], process: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline = monotonic() + START_SECONDS
    while not (url := address()):
        if process.poll() is not None or monotonic() > deadline:
            raise InputError(f"the server did not start: {log.read_text()[-500:]}")
        sleep(0.1)
    return url
