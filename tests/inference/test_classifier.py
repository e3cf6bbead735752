"""SentimentClassifier from Python, and its messages for a classifier that cannot be used."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file

from sentiment.common.errors import ClassifierError
from sentiment.inference.classifier import SentimentClassifier
from tests.inference.conftest import Predict
from tests.project import Project


@pytest.fixture
def copied(classifier: Path, tmp_path: Path) -> Path:
    """A classifier and encoder of the test's own, to damage."""
    project = classifier.parent.parent
    shutil.copytree(project / "models", tmp_path / "models")
    return tmp_path / "models" / "classifier"


def test_a_copied_classifier_folder_is_complete(
    classifier: Path, sentiment: SentimentClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `dvc artifacts get` brings it: no encoder beside it, and none in the current folder."""
    shutil.copytree(classifier, tmp_path / "artifact")
    monkeypatch.chdir(tmp_path)
    assert SentimentClassifier.load("artifact").predict_proba(["Soft"]) == sentiment.predict_proba(["Soft"])
    assert {path.name for path in (tmp_path / "artifact" / "encoder").iterdir()} == {
        *("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    }


def test_labels_and_threshold_come_from_the_config(sentiment: SentimentClassifier) -> None:
    assert sentiment.labels == ("negative", "positive")
    assert sentiment.threshold == 0.5
    probabilities = np.array([0.2, 0.5, np.nan, 0.9], np.float32)
    assert sentiment.label(probabilities) == ["negative", "positive", None, "positive"]
    assert sentiment.label(probabilities, threshold=0.6) == ["negative", "negative", None, "positive"]


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(ClassifierError, match=r"typo/config.json: no classifier; run `dvc repro` or `dvc pull`"):
        SentimentClassifier.load(tmp_path / "typo")


def change_config(classifier: Path, **spec: object) -> None:
    config = json.loads((classifier / "config.json").read_text())
    config["features"]["config"] |= spec
    (classifier / "config.json").write_text(json.dumps(config))


def test_probabilities_of_texts(sentiment: SentimentClassifier) -> None:
    probabilities = sentiment.predict_proba(["Lovely, soft and warm", " \n", "Fell apart, returned it"])
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (3,)
    assert np.isnan(probabilities).tolist() == [False, True, False]
    assert probabilities[0] > probabilities[2]
    assert sentiment.predict_proba([]).shape == (0,)
    assert np.isnan(sentiment.predict_proba([""])).all()


@pytest.mark.parametrize("wrong", ["one text", [None], ["a", 1.5]])
def test_an_argument_that_is_not_a_sequence_of_texts_is_refused(sentiment: SentimentClassifier, wrong: object) -> None:
    with pytest.raises(TypeError, match="sequence of strings"):
        sentiment.predict_proba(wrong)  # type: ignore[arg-type]


def test_probabilities_equal_those_that_evaluate_wrote(
    completed_template: Project, sentiment: SentimentClassifier
) -> None:
    """For every test review: alone, in batches of mixed lengths, and backwards."""
    written = pq.read_table(completed_template.root / "data/evaluate/test.parquet")
    table = pq.read_table(completed_template.root / "data/split/test.parquet")
    assert table["id"].equals(written["id"])
    texts, expected = table["text"].to_pylist(), written["probability"].to_numpy()
    assert np.array_equal(sentiment.predict_proba(texts), expected)
    assert np.array_equal(sentiment.predict_proba(texts[::-1])[::-1], expected)
    alone = np.concatenate([sentiment.predict_proba([text]) for text in texts[:20]])
    assert np.array_equal(alone, expected[:20])


def test_the_command_gives_the_probabilities_of_evaluate_for_the_raw_csv(
    predict: Predict, completed_template: Project
) -> None:
    """The columns of the raw file are joined as in prepare, so each test text has the probability of evaluate."""
    root = completed_template.root
    outcome = predict(root / "data/raw/sample.csv", "--format", "jsonl")
    labeled = {round(json.loads(line)["probability"] or 0, 4) for line in outcome.out.splitlines()}
    written = pq.read_table(root / "data/evaluate/test.parquet")["probability"].to_pylist()
    near = labeled | {round(value + step, 4) for value in labeled for step in (-1e-4, 1e-4)}
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


def test_a_missing_classifier_from_the_command(predict: Predict, tmp_path: Path) -> None:
    outcome = predict("Lovely", "--classifier", tmp_path / "none")
    assert outcome.status == 1
    assert "no classifier; run `dvc repro` or `dvc pull`" in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1


def test_a_missing_encoder_is_named(copied: Path) -> None:
    shutil.rmtree(copied / "encoder")
    with pytest.raises(ClassifierError, match=r"its encoder is missing; .*`dvc checkout --force"):
        SentimentClassifier.load(copied)


def test_changed_weights_of_the_encoder_are_refused_with_advice_that_helps(copied: Path) -> None:
    weights = copied / "encoder" / "model.safetensors"
    tensors = load_file(weights)
    name = min(tensors)
    save_file({**tensors, name: tensors[name] + 1}, weights, {"format": "pt"})
    with pytest.raises(ClassifierError, match=r"has fingerprint \w{12}, .* trained on \w{12}; `dvc checkout --force"):
        SentimentClassifier.load(copied)


def test_an_encoder_of_another_dimension_is_refused(copied: Path) -> None:
    change_config(copied, pooling="mean")
    with pytest.raises(ClassifierError, match="gives 256-dimensional features, but the head takes 512"):
        SentimentClassifier.load(copied)


def test_a_damaged_encoder(copied: Path) -> None:
    (copied / "encoder" / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ClassifierError, match=r"its encoder: .* could not be loaded"):
        SentimentClassifier.load(copied)
