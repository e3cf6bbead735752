"""Contributions of words: they add up, point into the text, and matter."""

from pathlib import Path

import numpy as np
import pandas
import pytest

from sentiment.head.classifier import Classifier
from sentiment.inference.classifier import SentimentClassifier
from sentiment.inference.explanation import Explanation, explain
from tests.project import Project

TEXTS = [
    "  Soft and warm, but the seams came loose.\n\tI don't recommend it ",
    "Größe paßt 👗 très jolie",
    "lovely",
    "word " * 400,
]


def total(explanation: Explanation) -> float:
    return explanation.bias + explanation.special_tokens + sum(word.contribution for word in explanation.words)


def with_head(sentiment: SentimentClassifier, layers: list[tuple[int, int]]) -> SentimentClassifier:
    """The same encoder with a head of random layers."""
    rng = np.random.default_rng(0)
    head = tuple((rng.normal(size=shape) / np.sqrt(shape[1]), rng.normal(size=shape[0])) for shape in layers)
    saved = sentiment.classifier
    return SentimentClassifier(Classifier(saved.config, saved.mean, saved.std, head), sentiment.encoder)


def test_bias_and_contributions_add_up_to_the_logit_of_the_probability(sentiment: SentimentClassifier) -> None:
    probabilities = sentiment.predict_proba(TEXTS)
    for explanation, probability, label in zip(
        explain(sentiment, TEXTS), probabilities, sentiment.predict(TEXTS), strict=True
    ):
        assert explanation is not None
        assert explanation.method == "exact sum"
        assert total(explanation) == pytest.approx(explanation.logit, abs=1e-6)
        assert 1 / (1 + np.exp(-explanation.logit)) == pytest.approx(probability, abs=1e-6)
        assert (np.float32(explanation.probability), explanation.label) == (probability, label)


def test_the_bias_of_one_layer_is_the_same_for_every_text(sentiment: SentimentClassifier) -> None:
    biases = [explanation.bias for explanation in explain(sentiment, TEXTS) if explanation]
    assert biases == pytest.approx([float(sentiment.classifier.layers[-1][1][0])] * len(TEXTS), abs=1e-9)


def test_words_are_those_between_white_space_with_their_offsets(sentiment: SentimentClassifier) -> None:
    for text, explanation in zip(TEXTS[:3], explain(sentiment, TEXTS[:3]), strict=True):
        assert explanation is not None
        assert [word.text for word in explanation.words] == text.split()
        assert [text[word.start : word.end] for word in explanation.words] == text.split()
        assert not explanation.is_truncated


def test_words_beyond_the_maximum_length_are_left_out_and_reported(sentiment: SentimentClassifier) -> None:
    (explanation,) = explain(sentiment, [TEXTS[3]])
    assert explanation is not None
    assert explanation.is_truncated
    assert 0 < len(explanation.words) < 400


def test_a_text_without_words_has_no_explanation(sentiment: SentimentClassifier) -> None:
    assert explain(sentiment, ["", " \n"]) == [None, None]
    assert explain(sentiment, []) == []


def test_a_single_string_is_refused(sentiment: SentimentClassifier) -> None:
    with pytest.raises(TypeError):
        explain(sentiment, "lovely")


def test_the_explanation_of_a_text_does_not_depend_on_the_others(sentiment: SentimentClassifier) -> None:
    assert explain(sentiment, TEXTS)[:1] == explain(sentiment, TEXTS[:1])


def test_two_layers_are_explained_by_gradient_times_input_and_say_so(sentiment: SentimentClassifier) -> None:
    deep = with_head(sentiment, [(8, sentiment.encoder.dim), (1, 8)])
    probabilities = deep.predict_proba(TEXTS)
    for explanation, probability in zip(explain(deep, TEXTS), probabilities, strict=True):
        assert explanation is not None
        assert explanation.method == "gradient times input"
        assert total(explanation) == pytest.approx(explanation.logit, abs=1e-6)
        assert 1 / (1 + np.exp(-explanation.logit)) == pytest.approx(probability, abs=1e-6)


@pytest.mark.slow
def test_deleting_the_5_highest_words_changes_the_label_3_times_as_often_as_5_random_ones(
    real_project: Project, reviews_csv: Path
) -> None:
    sentiment = SentimentClassifier.load(real_project.root / "models" / "classifier")
    column = pandas.read_csv(reviews_csv)["Review Text"].dropna().str.strip()
    texts = [str(text) for text in column.sample(240, random_state=0) if len(text.split()) > 10][:200]
    assert len(texts) == 200
    rng = np.random.default_rng(0)
    highest, random = [], []
    for text, explanation in zip(texts, explain(sentiment, texts), strict=True):
        assert explanation is not None
        sign = 1 if explanation.label == "positive" else -1
        order = sorted(explanation.words, key=lambda word: -sign * word.contribution)
        highest.append(without(text, {word.start for word in order[:5]}))
        chosen = rng.choice(len(explanation.words), 5, replace=False)
        random.append(without(text, {explanation.words[index].start for index in chosen}))
    before = sentiment.predict(texts)
    by_highest, by_random = (
        sum(a != b for a, b in zip(before, sentiment.predict(changed), strict=True)) for changed in (highest, random)
    )
    assert by_highest >= 3 * max(by_random, 1)


def without(text: str, starts: set[int]) -> str:
    """Delete the words that start at the offsets."""
    kept, position = [], 0
    for word in text.split():
        position = text.index(word, position)
        if position not in starts:
            kept.append(word)
        position += len(word)
    return " ".join(kept)
