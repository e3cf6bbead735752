"""Words that count beside the features: the same label by every way, and contributions that add up."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from sentiment.encoder.config import EncoderConfig, FeatureMetadata
from sentiment.encoder.frozen import FrozenEncoder
from sentiment.head.classifier import Classifier, ClassifierConfig
from sentiment.head.words import Tokens, Vocabulary, Words
from sentiment.inference.classifier import SentimentClassifier
from sentiment.inference.explanation import explain
from sentiment.insights.counting import PhraseCounter
from sentiment.serving.queue import score_texts
from tests.project import BUNDLED, ROOT, SAMPLE

MAX_LENGTH = 24


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Texts of the sample, some of them longer than the encoder reads."""
    with (ROOT / SAMPLE).open(encoding="utf-8") as file:
        return [row["Review Text"].strip() for row in csv.DictReader(file) if row["Review Text"].strip()][:400]


@pytest.fixture(scope="module")
def with_words(texts: list[str]) -> SentimentClassifier:
    """The bundled encoder, a head of random weights, and random weights for the words of the texts."""
    encoder = FrozenEncoder.load(BUNDLED, EncoderConfig(max_length=MAX_LENGTH, pooling="mean+max", precision="auto"))
    metadata = FeatureMetadata(
        config=encoder.config, fingerprint=encoder.fingerprint, dim=encoder.dim, text_columns=("text",)
    )
    rng = np.random.default_rng(0)
    vocabulary = Vocabulary.fit(Tokens.read(BUNDLED, [texts[:100], texts[100:]]))
    words = Words(vocabulary, rng.normal(size=len(vocabulary)) * 4)
    layer = rng.normal(size=(1, encoder.dim)) / encoder.dim, np.array([0.5])
    features = encoder.encode(texts[:100])
    head = Classifier(
        ClassifierConfig(features=metadata, threshold=0.5), features.mean(axis=0), features.std(axis=0), (layer,), words
    )
    return SentimentClassifier(head, encoder)


def test_words_change_probabilities(with_words: SentimentClassifier, texts: list[str]) -> None:
    without = SentimentClassifier(replace(with_words.classifier, words=None), with_words.encoder)
    assert np.abs(with_words.predict_proba(texts) - without.predict_proba(texts)).max() > 0.1


def test_a_text_has_the_same_bits_alone_among_others_on_the_server_and_explained(
    with_words: SentimentClassifier, texts: list[str]
) -> None:
    together = with_words.predict_proba([*texts, " "])
    assert np.isnan(together[-1])
    expected = together[:20].tolist()
    assert [with_words.predict_proba([text])[0] for text in texts[:20]] == expected
    assert score_texts(with_words, texts)[:20].tolist() == expected
    explanations = with_words.explain(texts[:20])
    assert [np.float32(one.probability) for one in explanations if one] == expected
    [clauses] = with_words.predict_clauses(texts[:1])
    assert [one.probability for one in clauses] == with_words.predict_proba([one.text for one in clauses]).tolist()


def test_tokens_of_the_stages_are_those_of_labeling(with_words: SentimentClassifier, texts: list[str]) -> None:
    odd = [*texts, "", "[CLS] or [SEP] in a text", "Größe 👗 très", "word " * 400]
    read, whole = with_words.encoder.tokenize_whole(odd)
    assert read == with_words.encoder.tokenize(odd)
    assert max(map(len, read)) == MAX_LENGTH
    staged = Tokens.read(BUNDLED, [odd[:7], odd[7:]])
    assert np.array_equal(staged.ids, Tokens.of(whole).ids)
    assert np.array_equal(staged.starts, Tokens.of(whole).starts)
    with_offsets = with_words.encoder.tokenize_with_offsets(odd)
    assert [one.whole_ids() for one in with_offsets] == whole
    assert [one.read().ids for one in with_offsets] == read
    assert [one.is_truncated for one in with_offsets] == [len(ids) > MAX_LENGTH - 2 for ids in whole]


def test_contributions_add_up_to_the_logit_also_behind_the_encoders_maximum(
    with_words: SentimentClassifier, texts: list[str]
) -> None:
    long = [text for text in texts if len(text.split()) > MAX_LENGTH]
    assert long
    for text, explanation in zip([*texts[:40], *long], explain(with_words, [*texts[:40], *long]), strict=True):
        assert explanation is not None
        assert explanation.bias == pytest.approx(0.5, abs=1e-6)
        contributions = sum(word.contribution for word in explanation.words)
        total = explanation.bias + explanation.special_tokens + contributions
        assert total == pytest.approx(explanation.logit, abs=1e-6)
        assert [word.text for word in explanation.words] == text.split()
        assert explanation.is_truncated == (text in long or len(with_words.encoder.tokenize([text])[0]) == MAX_LENGTH)


def test_insights_add_up(with_words: SentimentClassifier, texts: list[str]) -> None:
    counter = PhraseCounter(with_words)
    counter.add(texts[:100])
    counter.add(texts[100:])
    totals = counter.totals
    assert totals.bias + totals.special_tokens + totals.words == pytest.approx(totals.logits, abs=1e-6)
    assert counter.probabilities == with_words.predict_proba(texts).tolist()
