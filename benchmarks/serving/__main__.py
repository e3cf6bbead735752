"""Measure reviews a second of this server, LitServe and Ray Serve, and how soon /health answers under overload.

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
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks import machine
from benchmarks.__main__ import show
from benchmarks.reviews import read_texts
from benchmarks.serving.wrk import run_wrk
from sentiment.common.command import run_main
from sentiment.common.errors import InputError

CONNECTIONS, OVERLOAD_CONNECTIONS, OVERLOAD_QUEUE = 32, 200, 64
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
        while ask(port, "POST", "/predict", b'{"inputs": "Soft and warm"}')[0] != 200:
            if process.poll() is not None or time.monotonic() > deadline:
                raise InputError(f"`python {' '.join(command)} --port {port}` does not answer")
            time.sleep(0.2)
        yield port
    finally:
        process.terminate()
        process.wait(60)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # LitServe leaves its worker behind


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, float]:
    """Return status and milliseconds of one request on a connection of its own; status 0 where nobody listens."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    started = time.perf_counter()
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        status = connection.getresponse().status
    except OSError:
        status = 0
    finally:
        connection.close()
    return status, 1_000 * (time.perf_counter() - started)


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
            "reviews a second": median(load[name].per_second for load in loads),
            "p50 ms": median(load[name].p50_ms for load in loads),
            "p99 ms": median(load[name].p99_ms for load in loads),
            "errors": sum(load[name].n_errors for load in loads),
            "this server is, times": median(load["this server"].per_second / load[name].per_second for load in loads),
        }


def overload(classifier: Path, texts: Sequence[str], seconds: float) -> Iterator[dict[str, object]]:
    """Yield what is seen while 200 connections ask a server whose queue holds 64 texts."""
    command = ["-m", "sentiment", "serve", "--classifier", str(classifier), "--queue-texts", str(OVERLOAD_QUEUE)]
    health_ms = []
    with server(command) as port, ThreadPoolExecutor(1) as pool:
        load = pool.submit(run_wrk, f"http://127.0.0.1:{port}/predict", texts, OVERLOAD_CONNECTIONS, seconds)
        while not load.done():
            time.sleep(0.1)
            status, milliseconds = ask(port, "GET", "/health")
            health_ms.append(milliseconds if status == 200 else float("inf"))
        statuses = ", ".join(f"{status}: {count:,}" for status, count in sorted(load.result().statuses.items()))
        yield {"": "answers by status", "seen": statuses, "target": "200 and 429 only"}
        yield {"": "connections that failed", "seen": load.result().failed, "target": 0}
        p50, p99 = np.percentile(health_ms, [50, 99]).tolist()
        yield {"": "/health, p50 in ms", "seen": p50, "target": "-"}
        yield {"": "/health, p99 in ms", "seen": p99, "target": "at most 100"}


def main() -> None:
    """Print both tables."""
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
    show(
        f"{OVERLOAD_CONNECTIONS} connections, a queue of {OVERLOAD_QUEUE}",
        overload(args.classifier, texts, 2 * args.seconds),
    )


if __name__ == "__main__":
    run_main(main)
