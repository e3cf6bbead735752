"""What a review's words say about its title, by counting alone.

A title sums its review up: "Disappointed", "Love it". So a word's company among titles tells how it is meant, and no
rating need be looked at. Words and titles are associated by positive pointwise mutual information, and a truncated
SVD turns a word's associations into a short vector (Levy and Goldberg 2014, https://papers.nips.cc/paper/5477).
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

WORD = r"(?u)\b\w+(?:'\w+)?\b|[!?]"  # "didn't" is one word; "!" is a sentiment
FULL_TRUST = 2  # an association counts in full when it was seen this often


@dataclass(frozen=True)
class TitleWords:
    """One and two-word sequences of the titles.

    Attributes:
        present: 1 where the title has the sequence, shape (reviews, sequences).
        shares: its share of the title by rarity (inverse document frequency); a row adds up to 1, or to 0 without any.
    """

    present: csr_matrix
    shares: csr_matrix


def title_words(titles: Sequence[str], min_count: int) -> TitleWords:
    """Count the sequences that at least `min_count` titles have; raises InputError if there are none."""
    counter = CountVectorizer(ngram_range=(1, 2), min_df=min_count, token_pattern=WORD, binary=True, dtype=np.float32)
    try:
        present = csr_matrix(counter.fit_transform(titles))
    except ValueError:
        raise InputError(f"no word stands in {min_count} of the titles; more reviews are needed") from None
    titled = sum(title != "" for title in titles)
    rarity = np.log(titled / np.asarray(present.sum(0)).ravel())
    return TitleWords(present, normalize(present @ diags(rarity), norm="l1").astype(np.float32))


def association_factors(features: csr_matrix, titles: csr_matrix, rank: int, seed: int) -> NDArray[np.float64]:
    """Return one vector for every feature, shape (features, rank): U sqrt(S) of the associations' SVD.

    Args:
        features: 1 where the review has the feature, shape (reviews, features).
        titles: 1 where its title has the sequence, shape (reviews, sequences), no empty titles among them.
        rank: numbers a vector.
        seed: of the randomised SVD.
    """
    together = (features.T @ titles).tocoo()
    expected = np.asarray(features.sum(0)).ravel()[together.row] * np.asarray(titles.mean(0)).ravel()[together.col]
    strength = np.maximum(np.log(together.data / expected), 0) * np.minimum(1, together.data / FULL_TRUST)
    associations = csr_matrix((strength, (together.row, together.col)), shape=together.shape)
    svd = TruncatedSVD(min(rank, *(side - 1 for side in associations.shape)), random_state=seed)
    factors: NDArray[np.float64] = svd.fit_transform(associations) / np.sqrt(svd.singular_values_)
    return np.pad(factors, ((0, 0), (0, rank - factors.shape[1])))


def text_vectors(
    texts: Sequence[str], titled: NDArray[np.bool_], titles: csr_matrix, min_count: int, rank: int, seed: int
) -> NDArray[np.float32]:
    """Return what each text's words say about its title, shape (texts, rank), of mean 0 and mean square 1.

    The text's TF-IDF weights, over one and two-word sequences, times the sequences' vectors. The square root of each
    column's deviation is divided out, so that the first few do not drown the others.
    """
    counter = TfidfVectorizer(ngram_range=(1, 2), min_df=min_count, token_pattern=WORD, sublinear_tf=True)
    weights = csr_matrix(counter.fit_transform(texts))
    present = csr_matrix((np.ones_like(weights.data), weights.indices, weights.indptr), shape=weights.shape)
    factors = association_factors(present[titled], titles[titled], rank, seed)
    vectors = np.asarray(weights @ factors)
    vectors -= vectors.mean(0)
    vectors /= np.sqrt(vectors.std(0) + 1e-12)
    return np.asarray(vectors / np.sqrt(np.square(vectors).mean()), dtype=np.float32)


def piece_presence(pieces: Sequence[Sequence[int]], vocabulary: int) -> csr_matrix:
    """Return 1 where a text has a piece, shape (texts, vocabulary)."""
    distinct = [np.unique(np.asarray(ids, dtype=np.int64)) for ids in pieces]
    starts = np.concatenate([[0], np.cumsum([len(ids) for ids in distinct])])
    columns = np.concatenate(distinct)
    return csr_matrix((np.ones(len(columns)), columns, starts), shape=(len(pieces), vocabulary))
