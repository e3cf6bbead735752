"""The log of a server's predictions: what it holds, and drift found by it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from sentiment.common.errors import InputError, ParamsError
from sentiment.inference.classifier import SentimentClassifier
from sentiment.inference.prediction_log import PredictionLog, read_predictions
from sentiment.serving.app import create_app
from sentiment.serving.protocols import Settings
from tests.project import ROOT, Project
from tests.serving.conftest import StartServer

DAY = 24 * 60 * 60


def test_a_server_notes_each_prediction_without_its_text(
    start_server: StartServer, sentiment: SentimentClassifier, tmp_path: Path
) -> None:
    texts = ["Soft and warm", "Came apart after one wash, so disappointed"]
    server = start_server("--prediction-log", str(tmp_path / "log.jsonl"))
    with server.client() as client:
        assert client.post("/predict", json={"inputs": [[text] for text in texts]}).status_code == 200
    content = (tmp_path / "log.jsonl").read_text()
    assert "Soft" not in content
    lines = sorted(map(json.loads, content.splitlines()), key=lambda line: line["words"])
    assert [line["words"] for line in lines] == [3, 7]
    assert [line["tokens"] for line in lines] == [len(ids) for ids in sentiment.encoder.tokenize_whole(texts)[1]]
    np.testing.assert_allclose([line["probability"] for line in lines], sentiment.predict_proba(texts))


@pytest.mark.slow
def test_a_full_disk_ends_no_request(start_server: StartServer) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full, which is full like a disk")
    with start_server("--prediction-log", "/dev/full").client() as client:
        for _ in range(2):
            assert client.post("/predict", json={"inputs": "Soft and warm"}).status_code == 200


def test_a_line_that_a_full_disk_has_cut_spoils_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "log.jsonl"
    scores = np.array([0.25, 0.5], np.float32)
    PredictionLog(path).write(["Soft", "and warm"], [[1], [2, 3]], scores)
    path.write_bytes(path.read_bytes()[:-20])
    PredictionLog(path).write(["Torn"], [[4]], scores[:1])
    assert read_predictions(path)["words"].to_pylist() == [1, 1]
    assert "1 of 3 lines are cut, and left out" in caplog.text


def test_a_write_that_ends_early_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In a process of its own: the limit of a file's size is the process's."""
    code = (
        "import signal, resource, sys, numpy as np; from pathlib import Path\n"
        "from sentiment.inference.prediction_log import PredictionLog\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (100, 200))\n"
        "log = PredictionLog(Path(sys.argv[1])); scores = np.zeros(9, np.float32)\n"
        "log.write(['Soft'] * 9, [[1]] * 9, scores); resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))\n"
        "log.write(['Soft'], [[1]], scores[:1])\n"
    )
    path = tmp_path / "log.jsonl"
    done = subprocess.run([sys.executable, "-c", code, path], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "the prediction log lacks predictions: 100 of " in done.stderr
    assert len(read_predictions(path)) == 2, path.read_text()


def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"--prediction-log .*: Is a directory"):
        PredictionLog(tmp_path)


@pytest.mark.parametrize("content", ["", "text\n", '{"words": 3}\n'])
def test_another_file_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(content)
    with pytest.raises(InputError, match=r"log\.jsonl: .*expected"):
        read_predictions(path)
    with pytest.raises(InputError, match=r"missing\.jsonl"):
        read_predictions(tmp_path / "missing.jsonl")


def drift(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    return project.run("python", "-m", "sentiment", "drift", *arguments, check=False)


@pytest.mark.slow
def test_a_day_that_differs_alarms(completed_project: Project) -> None:
    project = completed_project
    same = project.root / "same.jsonl"
    code = (
        "import sys, pandas as pd, json\n"
        "from sentiment import SentimentClassifier\n"
        "classifier = SentimentClassifier.load('models/classifier')\n"
        "texts = pd.read_parquet('data/split/train.parquet')['text'].tolist()[:600]\n"
        "ids = classifier.encoder.tokenize_whole(texts)[1]\n"
        "for n, (text, one, p) in enumerate(zip(texts, ids, classifier.predict_proba(texts))):\n"
        "    line = dict(time=1.7e9 + n % 3 * 86400, words=len(text.split()), tokens=len(one), probability=float(p))\n"
        "    print(json.dumps(line))\n"
    )
    same.write_text(project.run("python", "-c", code).stdout)
    done = drift(project, "same.jsonl", "--predictions", "--by", "day")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("day: 2023-11-1") == 9
    assert "content" not in done.stdout

    lines = [json.loads(line) for line in same.read_text().splitlines()]
    longer = [line | ({"words": 3 * line["words"]} if line["time"] > 1.7e9 + DAY else {}) for line in lines]
    (project.root / "longer.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in longer))
    done = drift(project, "longer.jsonl", "--predictions", "--by", "day")
    assert done.returncode == 1
    alarms = [line for line in done.stdout.splitlines() if line.endswith("ALARM")]
    assert any(line.startswith("day: 2023-11-16") and "length (words)" in line for line in alarms)
    assert not any(line.startswith("day: 2023-11-14") for line in alarms)
    assert "only --by day" in drift(project, "same.jsonl", "--predictions", "--by", "Age").stderr


def test_a_log_may_be_named_by_text_as_in_the_file_of_ray_serve(sentiment: SentimentClassifier, tmp_path: Path) -> None:
    settings = Settings(prediction_log=str(tmp_path / "log.jsonl"))  # type: ignore[arg-type]
    with TestClient(create_app(sentiment, settings)) as client:
        client.post("/", json={"inputs": "Soft"})
    assert (tmp_path / "log.jsonl").read_text().count("\n") == 1


@pytest.mark.parametrize("key", ["", "two words", "schlüssel"])
def test_a_key_that_no_client_could_send_is_refused(key: str) -> None:
    with pytest.raises(ParamsError, match="SENTIMENT_API_KEY must be printable ASCII"):
        Settings(api_key=key)
