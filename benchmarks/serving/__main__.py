"""Measure reviews a second of this server, LitServe and Ray Serve, each around the same classifier.

    pip install litserve 'ray[serve]'           # beside this project's extra `serve`; wrk is a package of Debian
    python -m benchmarks.serving --reviews reviews.csv

All servers run at one time and take turns under load; the ratio of a round is that of neighbors in time. Read ratios:
machines are noisy.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

from benchmarks import machine
from benchmarks.__main__ import show
from benchmarks.reviews import read_texts
from benchmarks.serving.wrk import run_wrk
from sentiment.common.command import run_main
from sentiment.common.errors import InputError

CONNECTIONS = 32
START_SECONDS = 180


@contextmanager
def server(command: Sequence[str]) -> Iterator[int]:
    """Run a server, which gets a port of its own, and yield the port when it answers a review."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    env = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    full = [sys.executable, *command, "--port", str(port)]
    process = subprocess.Popen(
        full, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env, start_new_session=True
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise InputError(f"`python {' '.join(command)} --port {port}` does not answer")
            time.sleep(0.2)
        yield port
    finally:
        process.terminate()
        process.wait(60)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # LitServe leaves its worker behind


def answers(port: int) -> bool:
    """Return whether a review gets a label."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", "/predict", b'{"inputs": "Soft and warm"}', {"Content-Type": "application/json"})
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def throughput(classifier: Path, texts: Sequence[str], rounds: int, seconds: float) -> Iterator[dict[str, object]]:
    """Yield a row for each server: medians over the rounds, after one to warm up."""
    others = ["-m", "benchmarks.serving.others"]
    commands = {
        "this server": ["-m", "sentiment", "serve"],
        "LitServe, one worker": [*others, "litserve"],
        "Ray Serve, one replica": [*others, "ray"],
    }
    with ExitStack() as stack:
        ports = {
            name: stack.enter_context(server([*command, "--classifier", str(classifier)]))
            for name, command in commands.items()
        }
        loads = [
            {
                name: run_wrk(f"http://127.0.0.1:{port}/predict", texts, CONNECTIONS, seconds)
                for name, port in ports.items()
            }
            for _ in range(rounds + 1)
        ][1:]
    for name in commands:
        yield {
            "": name,
            "reviews a second": median(load[name]["n_labeled"] / load[name]["seconds"] for load in loads),
            "p50 ms": median(load[name]["p50_ms"] for load in loads),
            "p99 ms": median(load[name]["p99_ms"] for load in loads),
            "errors": sum(load[name]["failed"] + load[name]["n_refused"] for load in loads),
            "ratio": median(load["this server"]["n_labeled"] / load[name]["n_labeled"] for load in loads),
        }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reviews", type=Path, default=Path("data/raw/sample.csv"), help="CSV (default: %(default)s)")
    parser.add_argument("--classifier", type=Path, default=Path("models/classifier"), help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=5, help="of a server under load (default: %(default)s)")
    args = parser.parse_args()
    texts = read_texts(args.reviews)[:3_000]
    print(machine.describe("cpu"))  # noqa: T201 - the command's output
    title = f"{len(texts):,} reviews of {args.reviews.name}, a review a request"
    show(f"{title}, {CONNECTIONS} connections", throughput(args.classifier, texts, args.rounds, args.seconds))


if __name__ == "__main__":
    run_main(main)
