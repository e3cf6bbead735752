"""Busy workers in processes of their own: the same answers, and nothing lost where a process ends."""

import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from safetensors.numpy import load_file, save_file

from sentiment.inference.classifier import SentimentClassifier
from tests.serving.conftest import Server, StartServer, running
from tests.serving.test_overload import wait_until

pytestmark = pytest.mark.slow  # each server computes until it is busy

TWO_WORKERS = {"OMP_NUM_THREADS": "2"}


@pytest.fixture
def busy(start_server: StartServer, sample_texts: list[str]) -> Server:
    """A server whose two workers have moved to processes."""
    server = start_server(**TWO_WORKERS)
    keep_busy(server, sample_texts, lambda: len(model_processes(server)) == 2)
    return server


def keep_busy(server: Server, texts: list[str], until: Callable[[], bool]) -> None:
    """Send the texts over and over until the condition is met."""
    with server.client() as client:

        def met() -> bool:
            assert client.post("/predict", json={"inputs": [[text] for text in texts]}).status_code == 200
            return until()

        assert wait_until(met, 120), server.log()


def model_processes(server: Server) -> list[psutil.Process]:
    """The processes that the server says it uses, which run."""
    pids = map(int, re.findall(r"a busy worker goes on in process (\d+)", server.log()))
    return [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]


def scores(server: Server, texts: list[str]) -> bytes:
    """The probabilities of "positive", as float32."""
    with server.client() as client:
        answers = client.post("/predict", json={"inputs": [[text] for text in texts]}).raise_for_status().json()
    positive = [next(item["score"] for item in answer if item["label"] == "positive") for answer in answers]
    return np.array(positive, dtype=np.float32).tobytes()


def test_the_answers_are_the_bits_that_predict_gives(
    busy: Server, sentiment: SentimentClassifier, sample_texts: list[str]
) -> None:
    assert scores(busy, sample_texts) == sentiment.predict_proba(sample_texts).tobytes()


def test_a_process_that_is_killed_loses_no_text_and_is_replaced(
    busy: Server, sentiment: SentimentClassifier, sample_texts: list[str]
) -> None:
    killed = model_processes(busy)
    for process in killed:
        process.kill()
    assert scores(busy, sample_texts) == sentiment.predict_proba(sample_texts).tobytes()
    assert "a model process is replaced: it ended" in busy.log()
    keep_busy(busy, sample_texts, lambda: len(set(model_processes(busy)) - set(killed)) == 2)


@pytest.mark.parametrize(("sig", "status"), [(signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)])
def test_they_end_with_the_server(busy: Server, sig: int, status: int) -> None:
    children = psutil.Process(busy.process.pid).children(recursive=True)
    assert len(children) >= 2
    assert busy.stop(sig) == status
    assert psutil.wait_procs(children, timeout=10)[1] == []


def test_files_that_changed_since_the_start_are_not_used(
    classifier: Path, sentiment: SentimentClassifier, sample_texts: list[str], tmp_path: Path
) -> None:
    copy = tmp_path / "project" / "models" / "classifier"
    shutil.copytree(classifier, copy)
    with running(tmp_path, copy, **TWO_WORKERS) as server:
        head = load_file(copy / "head.safetensors")
        save_file({name: 2 * tensor for name, tensor in head.items()}, copy / "head.safetensors")
        keep_busy(server, sample_texts, lambda: "the classifier's files have changed" in server.log())
        assert scores(server, sample_texts) == sentiment.predict_proba(sample_texts).tobytes()
        assert model_processes(server) == []
