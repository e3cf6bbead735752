"""Words and phrases of reviews: which are counted, and that their contributions add up to the logits."""

import numpy as np
import pytest

from sentiment.inference.classifier import SentimentClassifier
from sentiment.inference.explanation import attribute, explain
from sentiment.insights.counting import Corpus, PhraseCounter, word_contributions
from tests.inference.test_explanation import with_head
from tests.insights.conftest import TEXTS


@pytest.mark.parametrize("layers", [1, 2])
def test_bias_special_tokens_and_words_add_up_to_the_logit_of_each_review(
    sentiment: SentimentClassifier, layers: int
) -> None:
    if layers == 2:
        sentiment = with_head(sentiment, [(8, sentiment.encoder.dim), (1, 8)])
    tokens = sentiment.tokenize_with_offsets(TEXTS)
    attributions = attribute(sentiment, tokens)
    explanations = explain(sentiment, TEXTS)
    for text, one, attribution, explanation in zip(TEXTS, tokens, attributions, explanations, strict=True):
        words = word_contributions(text, one, attribution.by_token)
        total = words.special + words.other + words.contributions.sum()
        assert explanation is not None
        assert explanation.bias + total == pytest.approx(attribution.logit, abs=1e-6)
        assert explanation.special_tokens == pytest.approx(words.special, abs=1e-9)


def test_totals_of_a_file_add_up_to_its_logits(sentiment: SentimentClassifier, corpus: Corpus) -> None:
    totals = corpus.totals
    assert totals.bias + totals.special_tokens + totals.words == pytest.approx(totals.logits, abs=1e-6)
    assert totals.logits == pytest.approx(sum(one.logit for one in explain(sentiment, TEXTS) if one), abs=1e-6)
    assert corpus.probabilities.tolist() == sentiment.predict_proba(TEXTS).tolist()
    [without_words] = explain(sentiment, ["!!!"])
    assert without_words is not None
    [mark] = without_words.words
    assert corpus.clause_sums.sum() + mark.contribution == pytest.approx(totals.words, abs=1e-6)


def test_phrases_keep_negations_and_particles_and_stay_in_a_clause(corpus: Corpus) -> None:
    phrases = {phrase.text: phrase.reviews.tolist() for phrase in corpus.phrases}
    assert phrases["zipper"] == [0, 1, 2]
    assert phrases["zipper broke"] == [0, 1]
    assert {"not soft", "too big", "fell apart", "seam fell apart", "lovely fabric"} <= set(phrases)
    assert not {"the", "the zipper", "fabric but", "fabric zipper", "soft", "it's not", "not", "too", "apart"} & set(
        phrases
    )


def test_a_phrase_counts_once_a_review_with_all_its_contributions(sentiment: SentimentClassifier) -> None:
    text = "zipper stuck. zipper broke. zipper lost"
    counter = PhraseCounter(sentiment)
    counter.add([text])
    [zipper] = [phrase for phrase in counter.finish(1).phrases if phrase.text == "zipper"]
    [explanation] = explain(sentiment, [text])
    assert explanation is not None
    assert zipper.reviews.tolist() == [0]
    by_word = sum(word.contribution for word in explanation.words if word.text == "zipper")
    assert zipper.contributions.sum() == pytest.approx(by_word, abs=1e-9)


def test_chunks_do_not_matter_and_rare_phrases_are_left_out(sentiment: SentimentClassifier, corpus: Corpus) -> None:
    counter = PhraseCounter(sentiment)
    counter.add(TEXTS)
    frequent = {phrase.text: phrase.contributions.sum() for phrase in counter.finish(2).phrases}
    expected = {one.text: one.contributions.sum() for one in corpus.phrases if len(one.reviews) >= 2}
    assert frequent == pytest.approx(expected)
    assert "zipper broke" in frequent


def test_an_example_is_the_clause_that_has_the_phrase(corpus: Corpus) -> None:
    [phrase] = [phrase for phrase in corpus.phrases if phrase.text == "not soft"]
    assert [corpus.clause_text(clause) for clause in phrase.clauses.tolist()] == ["It's not soft!"]
    assert np.array_equal(corpus.clause_reviews[phrase.clauses], phrase.reviews)
