"""Make pretraining targets from text: the n-grams of titles, and the title n-grams that a review's words go with.

A title sums its review up ("Disappointed", "Love it"), so the titles that a word occurs with say whether the word is
praise or complaint, without any rating. Words and title n-grams are associated by positive pointwise mutual information
(PPMI); a truncated SVD turns the associations of a word into a short vector (Levy and Goldberg 2014,
https://papers.nips.cc/paper/5477).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.preprocessing import normalize

from sentiment.common.errors import InputError

WORD_PATTERN = r"(?u)\b\w+(?:'\w+)?\b|[!?]"  # "didn't" is one word; "!" and "?" carry sentiment
PPMI_DISCOUNT_COUNT = 2  # a pair seen once counts half: one co-occurrence is weak evidence
EPSILON = 1e-12  # keeps a constant column from dividing by zero


@dataclass(frozen=True)
class TitleNgrams:
    """Unigrams and bigrams of the titles.

    Attributes:
        indicator: 1 where the title has the n-gram. # (n_reviews, n_ngrams)
        title_distribution: IDF weights of the title's n-grams; a row sums to 1, or to 0 for a title without any.
            # (n_reviews, n_ngrams)
    """

    indicator: csr_matrix
    title_distribution: csr_matrix


def title_ngrams(titles: Sequence[str], min_count: int) -> TitleNgrams:
    """Count the n-grams that at least `min_count` titles have; raises InputError if there are none."""
    vectorizer = CountVectorizer(
        ngram_range=(1, 2), min_df=min_count, token_pattern=WORD_PATTERN, binary=True, dtype=np.float32
    )
    try:
        indicator = csr_matrix(vectorizer.fit_transform(titles))
    except ValueError:
        raise InputError(f"no word occurs in {min_count} titles; more reviews are needed") from None
    n_titles = sum(title != "" for title in titles)
    idf = np.log(n_titles / np.asarray(indicator.sum(0)).ravel())
    return TitleNgrams(indicator, normalize(indicator @ diags(idf), norm="l1").astype(np.float32))


def ppmi_embeddings(features: csr_matrix, titles: csr_matrix, dim: int, seed: int) -> NDArray[np.float64]:
    """Return one vector per feature, U sqrt(S) of the SVD of the PPMI matrix. # (n_features, dim)

    Args:
        features: 1 where the review has the feature. # (n_reviews, n_features)
        titles: 1 where the review's title has the n-gram; no empty titles among them. # (n_reviews, n_ngrams)
        dim: length of a vector; zeros fill up what a small matrix cannot give.
        seed: of the randomized SVD.
    """
    cooccurrence = (features.T @ titles).tocoo()  # (n_features, n_ngrams)
    feature_counts = np.asarray(features.sum(0)).ravel()
    ngram_frequencies = np.asarray(titles.mean(0)).ravel()
    expected = feature_counts[cooccurrence.row] * ngram_frequencies[cooccurrence.col]
    discount = np.minimum(1, cooccurrence.data / PPMI_DISCOUNT_COUNT)
    ppmi = np.maximum(np.log(cooccurrence.data / expected), 0) * discount
    matrix = csr_matrix((ppmi, (cooccurrence.row, cooccurrence.col)), shape=cooccurrence.shape)
    svd = TruncatedSVD(min(dim, *(size - 1 for size in matrix.shape)), random_state=seed)
    embeddings: NDArray[np.float64] = svd.fit_transform(matrix) / np.sqrt(svd.singular_values_)
    return np.pad(embeddings, ((0, 0), (0, dim - embeddings.shape[1])))


def text_targets(
    texts: Sequence[str], has_title: NDArray[np.bool_], titles: csr_matrix, min_count: int, dim: int, seed: int
) -> NDArray[np.float32]:
    """Return one vector per text: its TF-IDF weights times the PPMI embeddings of its n-grams. # (n_texts, dim)

    The vectors have mean 0 and mean square 1. Each column is divided by the square root of its std:
    whitened fully, the noise of the last components would count as much as the first; not at all, only those would.
    """
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=min_count, token_pattern=WORD_PATTERN, sublinear_tf=True)
    tfidf = csr_matrix(vectorizer.fit_transform(texts))
    indicator = csr_matrix((np.ones_like(tfidf.data), tfidf.indices, tfidf.indptr), shape=tfidf.shape)
    targets = np.asarray(tfidf @ ppmi_embeddings(indicator[has_title], titles[has_title], dim, seed))
    targets -= targets.mean(0)
    targets /= np.sqrt(targets.std(0) + EPSILON)
    return np.asarray(targets / np.sqrt(np.square(targets).mean()), dtype=np.float32)


def token_indicator(token_ids: Sequence[Sequence[int]], vocab_size: int) -> csr_matrix:
    """Return 1 where a text has a token. # (n_texts, vocab_size)"""
    unique_ids = [np.unique(np.asarray(ids, dtype=np.int64)) for ids in token_ids]
    row_starts = np.concatenate([[0], np.cumsum([len(ids) for ids in unique_ids])])
    columns = np.concatenate(unique_ids)
    return csr_matrix((np.ones(len(columns)), columns, row_starts), shape=(len(token_ids), vocab_size))
