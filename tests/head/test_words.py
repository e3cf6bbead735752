"""Words are those of scikit-learn's TfidfVectorizer on token ids, and none that few reviews have."""

from collections.abc import Hashable
from itertools import pairwise

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer

from sentiment.head import words
from sentiment.head.words import MIN_REVIEWS, PAIR, STEP_BITS, Tokens, Vocabulary, Words


def random_texts(n_texts: int = 3_000) -> list[list[int]]:
    """Texts of 0 to 79 tokens, as frequent as words are."""
    rng = np.random.default_rng(0)
    return [(rng.zipf(1.4, rng.integers(0, 80)) % 500).tolist() for _ in range(n_texts)]


def ngrams(token_ids: list[int]) -> list[Hashable]:
    return [(token,) for token in token_ids] + list(pairwise(token_ids))


def ngrams_of(vocabulary: Vocabulary) -> list[Hashable]:
    """Return the n-grams as tuples of token ids."""
    return [(key,) if key < PAIR else (key // PAIR - 1, key % PAIR) for key in vocabulary.keys.tolist()]


@pytest.fixture(scope="module")
def texts() -> list[list[int]]:
    return random_texts()


@pytest.fixture(scope="module")
def fitted(texts: list[list[int]]) -> Words:
    vocabulary = Vocabulary.fit(Tokens.of(texts))
    return Words(vocabulary, np.random.default_rng(1).normal(size=len(vocabulary)))


def test_ngrams_idf_and_weights_are_those_of_scikit_learn(texts: list[list[int]], fitted: Words) -> None:
    vectorizer = TfidfVectorizer(analyzer=ngrams, min_df=MIN_REVIEWS, sublinear_tf=True)
    expected = vectorizer.fit_transform(texts)
    vocabulary = fitted.vocabulary
    own = ngrams_of(vocabulary)
    assert set(own) == set(vectorizer.vocabulary_)
    columns = [vectorizer.vocabulary_[ngram] for ngram in own]
    np.testing.assert_allclose(vocabulary.idf, vectorizer.idf_[columns], rtol=1e-12)
    entries = vocabulary.entries(Tokens.of(texts))
    steps = vocabulary.steps(entries) / 2**STEP_BITS
    found = csr_matrix((steps, (entries.texts, entries.columns)), shape=expected.shape)
    assert abs(found - expected[:, columns]).max() < 4e-4


def test_an_ngram_of_four_reviews_does_not_count_however_often_they_have_it() -> None:
    often_in_four = [[1, 2, 7, 7, 7, 7, 7, 7]] * (MIN_REVIEWS - 1)
    vocabulary = Vocabulary.fit(Tokens.of([*often_in_four, [1, 2], [2, 1], []]))
    assert ngrams_of(vocabulary) == [(1,), (2,), (1, 2)]


def test_the_most_frequent_ngrams_are_kept_and_of_equals_those_of_lower_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "MAX_NGRAMS", 4)
    rng = np.random.default_rng(0)
    texts = [[9, 3], [4, 3], [5, 9]] * MIN_REVIEWS
    for _ in range(3):
        rng.shuffle(texts)
        assert ngrams_of(Vocabulary.fit(Tokens.of(texts))) == [(3,), (4,), (5,), (9,)]
    assert ngrams_of(Vocabulary.fit(Tokens.of([*texts, [5, 9]]))) == [(3,), (5,), (9,), (5, 9)]


def test_chunks_and_the_order_of_the_texts_do_not_matter(
    texts: list[list[int]], fitted: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = np.random.default_rng(2).permutation(len(texts))
    logits = fitted.logits(Tokens.of(texts))
    monkeypatch.setattr(words, "CHUNK_TEXTS", 97)
    shuffled = Tokens.of(texts)[order]
    vocabulary = Vocabulary.fit(shuffled)
    assert np.array_equal(vocabulary.keys, fitted.vocabulary.keys)
    assert np.array_equal(vocabulary.idf, fitted.vocabulary.idf)
    assert np.array_equal(fitted.logits(shuffled), logits[order])


def test_logits_are_the_products_of_weighted_ngrams_and_weights(texts: list[list[int]], fitted: Words) -> None:
    entries = fitted.vocabulary.entries(Tokens.of(texts))
    values = fitted.vocabulary.steps(entries) / 2**STEP_BITS
    expected = np.zeros(len(texts))
    np.add.at(expected, entries.texts, values * fitted.weights[entries.columns])
    np.testing.assert_allclose(fitted.logits(Tokens.of(texts)), expected, atol=1e-8)
    empty = [index for index, text in enumerate(texts) if not text]
    assert empty
    assert (fitted.logits(Tokens.of(texts))[empty] == 0).all()
    assert fitted.logits(Tokens.of([])).shape == (0,)


def test_the_logit_of_a_text_has_the_same_bits_alone_and_among_others(texts: list[list[int]], fitted: Words) -> None:
    together = fitted.logits(Tokens.of(texts))
    alone = [fitted.logits(Tokens.of([text]))[0] for text in texts[:200]]
    assert alone == together[:200].tolist()


def test_contributions_of_tokens_add_up_and_a_pair_is_shared(texts: list[list[int]], fitted: Words) -> None:
    logits = fitted.logits(Tokens.of(texts[:50]))
    by_token = [fitted.contributions(text) for text in texts[:50]]
    assert [len(one) for one in by_token] == [len(text) for text in texts[:50]]
    np.testing.assert_allclose([one.sum() for one in by_token], logits, atol=1e-12)
    pair = Words(Vocabulary(np.array([8 * PAIR + 8]), np.ones(1)), np.array([2.0]))  # of token 7 and token 8
    assert pair.contributions([7, 8, 1]).tolist() == [1, 1, 0]
    assert pair.contributions([7, 8, 1, 7, 8]) == pytest.approx([0.5, 0.5, 0, 0.5, 0.5])
    assert pair.contributions([]).shape == (0,)


def test_rows_of_tokens_are_chosen_as_those_of_an_array(texts: list[list[int]]) -> None:
    tokens, lengths = Tokens.of(texts), np.array([len(text) for text in texts])
    mask = lengths % 3 == 0
    for rows in (slice(10, 40), mask, np.array([5, 2, 2])):
        chosen = tokens[rows]
        expected = Tokens.of([texts[index] for index in np.arange(len(texts))[rows]])
        assert np.array_equal(chosen.ids, expected.ids)
        assert np.array_equal(chosen.starts, expected.starts)
    joined = Tokens.joined([tokens[:7], tokens[7:7], tokens[7:]])
    assert np.array_equal(joined.ids, tokens.ids)
    assert np.array_equal(joined.starts, tokens.starts)
