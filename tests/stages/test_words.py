"""`train.words` through the pipeline: the classifier of `train` labels as `evaluate` does, with folds too."""

import json
import shlex
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from sentiment.head.classifier import FOLDS, HEAD, Classifier
from sentiment.inference.classifier import SentimentClassifier
from tests.pipeline_run import stages_of
from tests.project import ROOT, Project

pytestmark = pytest.mark.slow

WORDS: dict[str, object] = {"solver": "lbfgs", "l2": "auto", "words": True}


def run(project: Project, *stages: str, threads: int = 1) -> str:
    """Run stages as dvc.yaml does; return their log."""
    commands = [shlex.split(stages_of(ROOT)[stage]["cmd"]) for stage in stages]
    n = str(threads)
    return "".join(project.run(*command, OMP_NUM_THREADS=n, OPENBLAS_NUM_THREADS=n).stderr for command in commands)


@pytest.fixture
def with_words(completed_project: Project) -> Project:
    completed_project.set_params(train=WORDS)
    return completed_project


def head(project: Project) -> bytes:
    return (project.root / "models/classifier" / HEAD).read_bytes()


def test_labels_are_those_of_evaluate_and_bytes_do_not_depend_on_threads(with_words: Project) -> None:
    before = json.loads((with_words.root / "metrics/val.json").read_text())
    log = run(with_words, "train", "check", "evaluate")
    assert "n-grams count beside the features" in log
    after = json.loads((with_words.root / "metrics/val.json").read_text())
    assert after["log_loss"] != before["log_loss"]
    sentiment = SentimentClassifier.load(with_words.root / "models/classifier")
    texts = pq.read_table(with_words.root / "data/split/val.parquet")["text"].to_pylist()
    predicted = pq.read_table(with_words.root / "data/evaluate/val.parquet")["probability"].to_numpy()
    assert np.array_equal(sentiment.predict_proba(texts), predicted)
    card = (with_words.root / "models/README.md").read_text()
    assert f"| words | {sentiment.classifier.config.n_ngrams:,} n-grams" in card
    one_thread, results = head(with_words), (with_words.root / "data/evaluate/metrics.json").read_bytes()
    run(with_words, "train", "evaluate", threads=2)
    assert head(with_words) == one_thread
    assert (with_words.root / "data/evaluate/metrics.json").read_bytes() == results


def test_the_words_of_a_fold_are_those_of_its_own_train_reviews(with_words: Project) -> None:
    with_words.set_params(split={"folds": 3}, train={"calibration": "temperature"})
    run(with_words, "split", "encode", "train", "check", "evaluate")
    folder = with_words.root / "models/classifier"
    folds = [Classifier.load(folder / FOLDS / str(number)).words for number in range(3)]
    keys = [words.vocabulary.keys.tobytes() for words in folds if words]
    assert len(set(keys)) == 3
    metrics = json.loads((with_words.root / "metrics/test.json").read_text())
    assert "uncalibrated_error" in metrics


def test_an_encoder_without_its_tokenizer_is_named(with_words: Project) -> None:
    (with_words.root / "models/encoder/tokenizer.json").unlink()
    command = shlex.split(stages_of(ROOT)["train"]["cmd"])
    done = with_words.run(*command, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: encoder 'models/encoder'")
    assert not Path(with_words.root / "models/classifier.partial").exists()
