"""The Python call, and what it says of a classifier that cannot be used."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file

from sentiment.common.errors import ClassifierError
from sentiment.inference.classifier import SentimentClassifier
from tests.conftest import Project


@pytest.fixture
def copied(classifier: Path, tmp_path: Path) -> Path:
    """A classifier and encoder of the test's own, to damage."""
    project = classifier.parent.parent
    shutil.copytree(project / "models", tmp_path / "models")
    return tmp_path / "models" / "classifier"


def change_config(classifier: Path, **spec: object) -> None:
    config = json.loads((classifier / "config.json").read_text())
    config["features"]["config"] |= spec
    (classifier / "config.json").write_text(json.dumps(config))


def test_probabilities_of_texts(sentiment: SentimentClassifier) -> None:
    found = sentiment.predict_proba(["Lovely, soft and warm", " \n", "Fell apart, returned it"])
    assert found.dtype == np.float32
    assert found.shape == (3,)
    assert np.isnan(found).tolist() == [False, True, False]
    assert found[0] > found[2]
    assert sentiment.predict_proba([]).shape == (0,)
    assert np.isnan(sentiment.predict_proba([""])).all()


@pytest.mark.parametrize("wrong", ["one text", [None], ["a", 1.5]])
def test_what_is_no_sequence_of_texts_is_refused(sentiment: SentimentClassifier, wrong: object) -> None:
    with pytest.raises(TypeError, match="sequence of strings"):
        sentiment.predict_proba(wrong)


def test_the_answer_is_the_one_that_evaluate_wrote(completed_template: Project, sentiment: SentimentClassifier) -> None:
    """For every test review: alone, in batches of mixed lengths, and backwards."""
    written = pq.read_table(completed_template.root / "data/evaluate/predictions.parquet")
    table = pq.read_table(completed_template.root / "data/split/test.parquet")
    assert table["id"].equals(written["id"])
    texts, expected = table["text"].to_pylist(), written["probability"].to_numpy()
    assert np.abs(sentiment.predict_proba(texts) - expected).max() < 1e-4
    assert np.abs(sentiment.predict_proba(texts[::-1])[::-1] - expected).max() < 1e-4
    alone = np.concatenate([sentiment.predict_proba([text]) for text in texts[:20]])
    assert np.abs(alone - expected[:20]).max() < 1e-4


def test_the_command_agrees_too_from_the_raw_csv(predict: Callable, completed_template: Project) -> None:
    """The columns of the raw file are joined as in prepare, so each test text has the probability of evaluate."""
    root = completed_template.root
    outcome = predict(root / "data/raw/sample.csv", "--format", "jsonl")
    labelled = {round(json.loads(line)["probability"] or 0, 4) for line in outcome.out.splitlines()}
    written = pq.read_table(root / "data/evaluate/predictions.parquet")["probability"].to_pylist()
    near = labelled | {round(value + step, 4) for value in labelled for step in (-1e-4, 1e-4)}
    assert all(round(value, 4) in near for value in written)
    test = predict(root / "data/split/test.parquet", "--text-column", "text", "--format", "jsonl")
    assert [json.loads(line)["probability"] for line in test.out.splitlines()] == pytest.approx(written, abs=1e-4)


@pytest.mark.parametrize("broken", ["nothing", "no head", "damaged head", "damaged config"])
def test_a_missing_or_damaged_classifier(copied: Path, broken: str) -> None:
    if broken == "nothing":
        shutil.rmtree(copied)
    elif broken == "no head":
        (copied / "head.safetensors").unlink()
    else:
        name = "head.safetensors" if broken == "damaged head" else "config.json"
        (copied / name).write_bytes(b"{}")
    with pytest.raises(ClassifierError, match=r"`dvc repro( --force train)?`"):
        SentimentClassifier.load(copied)


def test_a_missing_classifier_from_the_command(predict: Callable, tmp_path: Path) -> None:
    outcome = predict("Lovely", "--classifier", tmp_path / "none")
    assert outcome.status == 1
    assert "no classifier; run `dvc repro` or `dvc pull`" in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1


def test_an_encoder_that_is_not_there(copied: Path) -> None:
    shutil.rmtree(copied.parent / "encoder")
    change_config(copied, encoder="models/no-such-encoder")
    with pytest.raises(ClassifierError, match="its encoder 'models/no-such-encoder' is missing"):
        SentimentClassifier.load(copied)


def test_an_encoder_of_another_revision(copied: Path) -> None:
    weights = copied.parent / "encoder" / "model.safetensors"
    tensors = load_file(weights)
    name = min(tensors)
    save_file({**tensors, name: tensors[name] + 1}, weights, {"format": "pt"})
    with pytest.raises(ClassifierError, match=r"has fingerprint \w{12}, but the head was trained on \w{12}"):
        SentimentClassifier.load(copied)


def test_an_encoder_of_another_width(copied: Path) -> None:
    change_config(copied, pooling="mean")
    with pytest.raises(ClassifierError, match="gives 256 numbers a text, but the head takes 512"):
        SentimentClassifier.load(copied)


def test_a_damaged_encoder(copied: Path) -> None:
    (copied.parent / "encoder" / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ClassifierError, match=r"its encoder: .* could not be loaded"):
        SentimentClassifier.load(copied)
