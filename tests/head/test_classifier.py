"""The saved classifier is complete, plain and checked on the way in."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sentiment.common.errors import ClassifierError
from sentiment.encoder.config import EncoderConfig, FeatureMetadata
from sentiment.head.classifier import CONFIG, HEAD, Classifier, ClassifierConfig
from sentiment.head.words import PAIR, Tokens, Vocabulary, Words

ENCODER = EncoderConfig(max_length=20, pooling="mean", precision="auto")
CONFIGURED = ClassifierConfig(
    features=FeatureMetadata(config=ENCODER, fingerprint="f" * 64, dim=2, text_columns=("Title", "Body")), threshold=0.5
)


@pytest.fixture
def classifier() -> Classifier:
    mean, std = np.array([1, 2], np.float32), np.array([2, 4], np.float32)
    return Classifier(CONFIGURED, mean, std, ((np.array([[1.0, -1.0]]), np.array([0.5])),))


def test_probabilities_by_hand(classifier: Classifier) -> None:
    probabilities = classifier.predict_proba(np.array([[1, 2], [3, 2]], np.float32))
    assert probabilities == pytest.approx(1 / (1 + np.exp([-0.5, -1.5])))
    assert classifier.predict_proba(np.empty((0, 2), np.float32)).shape == (0,)


def test_loads_as_saved_and_saves_the_same_bytes(classifier: Classifier, tmp_path: Path) -> None:
    classifier.save(tmp_path / "a")
    loaded = Classifier.load(tmp_path / "a")
    assert loaded.config.features == classifier.config.features
    features = np.random.default_rng(0).standard_normal((5, 2), np.float32)
    assert np.array_equal(loaded.predict_proba(features), classifier.predict_proba(features))
    loaded.save(tmp_path / "b")
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [CONFIG, HEAD]
    for name in (CONFIG, HEAD):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_features_of_another_dimension(classifier: Classifier) -> None:
    with pytest.raises(ClassifierError, match="features of dimension 3, but the head was trained on 2"):
        classifier.predict_proba(np.zeros((1, 3), np.float32))


def test_a_missing_classifier_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ClassifierError, match=r"config\.json: no classifier; run `dvc repro` or `dvc pull`"):
        Classifier.load(tmp_path)


@pytest.mark.parametrize("name", [CONFIG, HEAD])
def test_damage_is_named(classifier: Classifier, tmp_path: Path, name: str) -> None:
    classifier.save(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-9])
    with pytest.raises(ClassifierError, match="damaged classifier"):
        Classifier.load(tmp_path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"std": np.zeros(2, np.float32)}, "std holds a number that is not above 0"),
        ({"mean": np.array([1, np.nan], np.float32)}, "mean holds a NaN"),
        ({"mean": np.zeros(3, np.float32)}, r"mean is float32 of shape \(3,\), expected float32 \(2,\)"),
        ({"layers": ((np.array([[1, -1]], np.int8), np.zeros(1)),)}, "layers.0.weight is int8"),
        ({"layers": ((np.ones((1, 2)), np.zeros(7)),)}, r"layers.0.bias is float64 of shape \(7,\)"),
        ({"layers": ((np.ones((3, 2)), np.zeros(3)), (np.ones((1, 4)), np.zeros(1)))}, "layers.1.weight"),
    ],
)
def test_arrays_that_do_not_fit_are_named(
    classifier: Classifier, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    replace(classifier, **changed).save(tmp_path)
    with pytest.raises(ClassifierError, match=f"damaged classifier .*{message}"):
        Classifier.load(tmp_path)


def test_a_classifier_of_another_version_is_not_called_damaged(classifier: Classifier, tmp_path: Path) -> None:
    classifier.save(tmp_path)
    config = json.loads((tmp_path / CONFIG).read_text())
    config["features"]["config"]["revision"] = None
    (tmp_path / CONFIG).write_text(json.dumps(config))
    with pytest.raises(ClassifierError, match=r"^[^(]*a classifier of another version of this project"):
        Classifier.load(tmp_path)


def test_a_head_of_another_classifier_is_refused(classifier: Classifier, tmp_path: Path) -> None:
    """As a damaged object of DVC's cache gives it: a readable file with other bytes."""
    classifier.save(tmp_path)
    replace(classifier, mean=np.array([1, 3], np.float32)).save(tmp_path / "other")
    (tmp_path / HEAD).write_bytes((tmp_path / "other" / HEAD).read_bytes())
    with pytest.raises(ClassifierError, match=r"head.safetensors is not the file whose SHA-256 is in config.json"):
        Classifier.load(tmp_path)


WORDS = Words(Vocabulary(np.array([3, 5, 4 * PAIR + 5]), np.array([1.0, 1.5, 2.0])), np.array([0.5, -0.25, 0.125]))
FEATURES = np.array([[1, 2], [3, 2]], np.float32)
TOKENS = Tokens.of([[3, 5], [9]])


@pytest.fixture
def with_words(classifier: Classifier) -> Classifier:
    return replace(classifier, words=WORDS)


def test_words_are_added_to_the_logits_saved_and_loaded(
    classifier: Classifier, with_words: Classifier, tmp_path: Path
) -> None:
    added = with_words.logits(FEATURES, TOKENS) - classifier.logits(FEATURES)
    assert added == pytest.approx(WORDS.logits(TOKENS))
    assert added[0] != 0
    assert added[1] == 0
    with_words.save(tmp_path / "a")
    loaded = Classifier.load(tmp_path / "a")
    loaded.save(tmp_path / "b")
    for name in (CONFIG, HEAD):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert loaded.predict_proba(FEATURES, TOKENS).tolist() == with_words.predict_proba(FEATURES, TOKENS).tolist()
    assert loaded.config.n_ngrams == 3
    halved = loaded.divided(2.0).logits(FEATURES, TOKENS)
    assert halved * 2 == pytest.approx(loaded.logits(FEATURES, TOKENS))


def test_a_classifier_without_words_says_nothing_of_them(classifier: Classifier, tmp_path: Path) -> None:
    classifier.save(tmp_path)
    assert "ngrams" not in (tmp_path / CONFIG).read_text()
    assert b"words" not in (tmp_path / HEAD).read_bytes()


@pytest.mark.parametrize("tokens", [None, Tokens.of([[3]])])
def test_words_need_the_tokens_of_every_text(with_words: Classifier, tokens: Tokens | None) -> None:
    with pytest.raises(ClassifierError, match="needs the token ids of every text"):
        with_words.predict_proba(FEATURES, tokens)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"weights": np.array([0.5, np.nan, 0.1])}, "words.weights holds a NaN or an infinity"),
        ({"weights": np.zeros(2)}, r"words.keys is int64 of shape \(3,\), expected int64 \(2,\)"),
        ({"vocabulary": Vocabulary(np.array([5, 3, 9]), np.ones(3))}, "words.keys are not .* ascending"),
        ({"vocabulary": Vocabulary(np.array([3, 5, 9]), np.zeros(3))}, "words.idf holds a number below 1"),
        ({"vocabulary": Vocabulary(np.array([3, 5, 9]), np.ones(3, np.float32))}, "words.idf is float32"),
    ],
)
def test_words_that_do_not_fit_are_named(
    classifier: Classifier, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    replace(classifier, words=replace(WORDS, **changed)).save(tmp_path)
    with pytest.raises(ClassifierError, match=f"damaged classifier .*{message}"):
        Classifier.load(tmp_path)


def test_words_that_are_missing_are_named(classifier: Classifier, with_words: Classifier, tmp_path: Path) -> None:
    with_words.save(tmp_path)
    classifier.save(tmp_path / "other")
    (tmp_path / HEAD).write_bytes((tmp_path / "other" / HEAD).read_bytes())
    with pytest.raises(ClassifierError, match=r"damaged classifier .*head.safetensors is not the file"):
        Classifier.load(tmp_path)
    config = json.loads((tmp_path / CONFIG).read_text())
    del config["head_sha256"]
    (tmp_path / CONFIG).write_text(json.dumps(config))
    with pytest.raises(ClassifierError, match=r"damaged classifier .*words.keys"):
        Classifier.load(tmp_path)


def test_a_missing_layer_is_named(classifier: Classifier, tmp_path: Path) -> None:
    replace(classifier, layers=()).save(tmp_path)
    with pytest.raises(ClassifierError, match="damaged classifier"):
        Classifier.load(tmp_path)


def test_a_probability_is_the_same_alone_and_among_others(classifier: Classifier) -> None:
    features = np.random.default_rng(0).normal(2, 3, (40_000, 2)).astype(np.float32)
    together = classifier.predict_proba(features)
    some = np.array([0, 1, 16_383, 16_384, 39_999])
    assert [classifier.predict_proba(features[i : i + 1])[0] for i in some] == together[some].tolist()


def test_features_that_are_not_finite_have_no_probability(classifier: Classifier) -> None:
    features = np.array([[1, 2], [np.inf, 2], [np.nan, 2]], np.float32)
    assert np.isnan(classifier.predict_proba(features)).tolist() == [False, True, True]
