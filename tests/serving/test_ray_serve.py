"""deploy/ray-serve.yaml on a cluster of two cores: two replicas answer as one server does."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
import yaml

from sentiment.inference.classifier import SentimentClassifier
from tests.project import ROOT

pytest.importorskip("ray.serve", reason="no Ray Serve: pip install 'ray[serve]'", exc_type=ImportError)
pytestmark = pytest.mark.slow

START_SECONDS = 240
SERVE = "from ray.serve.scripts import cli; cli()"


def test_two_replicas_give_the_bits_that_predict_gives_and_ask_for_the_key(
    classifier: Path, sentiment: SentimentClassifier, sample_texts: list[str], tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = yaml.safe_load((ROOT / "deploy" / "ray-serve.yaml").read_text())
    config["http_options"]["port"] = port
    [application] = config["applications"]
    application["args"]["classifier"] = str(classifier)
    application["runtime_env"]["env_vars"]["SENTIMENT_API_KEY"] = "a-key"
    file = tmp_path / "ray-serve.yaml"
    file.write_text(yaml.safe_dump(config))
    env = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled"}
    (tmp_path / "venv").symlink_to(sys.prefix)  # `serve run` does not quote the path of the interpreter
    python = tmp_path / "venv" / "bin" / Path(sys.executable).name
    log_file = tmp_path / "serve.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen([python, "-c", SERVE, "run", str(file)], stdout=log, stderr=log, env=env)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            deadline = time.monotonic() + START_SECONDS
            while not is_healthy(client):
                assert process.poll() is None, log_file.read_text()[-3_000:]
                assert time.monotonic() < deadline, log_file.read_text()[-3_000:]
                time.sleep(0.5)
            assert client.post("/predict", json={"inputs": "fine"}).status_code == 401
            client.headers["authorization"] = "Bearer a-key"
            answers = [client.post("/predict", json={"inputs": text}) for text in sample_texts[:50]]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
    assert {answer.status_code for answer in answers} == {200}
    assert all(answer.headers["x-content-type-options"] == "nosniff" for answer in answers)
    scores = [next(one["score"] for one in answer.json() if one["label"] == "positive") for answer in answers]
    assert np.array(scores, dtype=np.float32).tobytes() == sentiment.predict_proba(sample_texts[:50]).tobytes()


def is_healthy(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False
