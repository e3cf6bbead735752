"""deploy/ray-serve.yaml on a cluster of two cores: two replicas answer as one server does, also when one is killed."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
import yaml

from sentiment.inference.classifier import SentimentClassifier
from tests.project import ROOT

pytest.importorskip("ray.serve", reason="no Ray Serve: pip install 'ray[serve]'", exc_type=ImportError)
pytestmark = pytest.mark.slow

START_SECONDS = 240
N_CLIENTS, MAX_TRIES = 4, 100
KEY = "a-key"
SERVE = "from ray.serve.scripts import cli; cli()"


@dataclass
class Replicas:
    """A running application of two replicas."""

    url: str
    process: subprocess.Popen[bytes]

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, headers={"authorization": f"Bearer {KEY}"})

    def pids(self) -> list[int]:
        """The processes of the replicas."""
        return [
            one.pid
            for one in psutil.Process(self.process.pid).children(recursive=True)
            if "ray::ServeReplica" in "".join(one.cmdline())
        ]


@pytest.fixture(scope="module")
def replicas(classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    folder = tmp_path_factory.mktemp("ray-serve")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = yaml.safe_load((ROOT / "deploy" / "ray-serve.yaml").read_text())
    config["http_options"]["port"] = port
    [application] = config["applications"]
    application["args"]["classifier"] = str(classifier)
    application["runtime_env"]["env_vars"]["SENTIMENT_API_KEY"] = KEY
    file = folder / "ray-serve.yaml"
    file.write_text(yaml.safe_dump(config))
    # "local": a driver that was killed leaves the address of a cluster that is gone, and Ray would wait for it
    env = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled", "RAY_ADDRESS": "local"}
    (folder / "venv").symlink_to(sys.prefix)  # `serve run` does not quote the path of the interpreter
    python = folder / "venv" / "bin" / Path(sys.executable).name
    log_file = folder / "serve.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen([python, "-c", SERVE, "run", str(file)], stdout=log, stderr=log, env=env)
    running = Replicas(f"http://127.0.0.1:{port}", process)
    try:
        with running.client() as client:
            deadline = time.monotonic() + START_SECONDS
            while not is_healthy(client) or len(running.pids()) < 2:
                assert process.poll() is None, log_file.read_text()[-3_000:]
                assert time.monotonic() < deadline, log_file.read_text()[-3_000:]
                time.sleep(0.5)
        yield running
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def test_two_replicas_give_the_bits_that_predict_gives_and_ask_for_the_key(
    replicas: Replicas, sentiment: SentimentClassifier, sample_texts: list[str]
) -> None:
    with replicas.client() as client:
        assert client.post("/predict", json={"inputs": "fine"}, headers={"authorization": ""}).status_code == 401
        answers = [client.post("/predict", json={"inputs": text}) for text in sample_texts[:50]]
    assert {answer.status_code for answer in answers} == {200}
    assert all(answer.headers["x-content-type-options"] == "nosniff" for answer in answers)
    scores = [score(answer) for answer in answers]
    assert np.array(scores, dtype=np.float32).tobytes() == sentiment.predict_proba(sample_texts[:50]).tobytes()


def test_a_replica_killed_under_load_loses_nothing_but_retried_requests(
    replicas: Replicas, sentiment: SentimentClassifier, sample_texts: list[str]
) -> None:
    """Four clients post 2,000 texts, and repeat what fails; after a quarter one of the two replicas is killed."""
    texts = (sample_texts * 10)[:2_000]
    scores = np.zeros(len(texts), np.float32)
    is_quarter = threading.Event()
    before = replicas.pids()

    def post(rows: range) -> int:
        retried = 0
        with replicas.client() as client:
            for row in rows:
                if row >= len(texts) // 4:
                    is_quarter.set()
                for _ in range(MAX_TRIES):
                    with contextlib.suppress(httpx.TransportError):
                        answer = client.post("/predict", json={"inputs": texts[row]})
                        if answer.status_code == 200:
                            scores[row] = score(answer)
                            break
                    retried += 1
                    time.sleep(0.2)
        return retried

    with ThreadPoolExecutor(N_CLIENTS) as pool:
        posted = [pool.submit(post, range(first, len(texts), N_CLIENTS)) for first in range(N_CLIENTS)]
        assert is_quarter.wait(120)
        os.kill(before[0], signal.SIGKILL)
        n_retried = sum(one.result(300) for one in posted)
    assert scores.tobytes() == sentiment.predict_proba(texts).tobytes()
    assert n_retried < len(texts) // 20, "the other replica answers"
    deadline = time.monotonic() + 120
    while len(set(replicas.pids()) - {before[0]}) < 2:
        assert time.monotonic() < deadline, "Ray Serve starts another one"
        time.sleep(0.5)


def score(answer: httpx.Response) -> float:
    """Return the probability of positive."""
    return float(next(one["score"] for one in answer.json() if one["label"] == "positive"))


def is_healthy(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False
