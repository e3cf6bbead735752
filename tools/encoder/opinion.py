"""Estimate from texts alone whether their writers like what they review.

Some writers name a rating: "8/10", "2 out of 10", "five stars". These few teach a bag of words, in which the rating is
masked, and the bag of words says how positive every text is. No label and no rating of a data set is read.
"""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from sentiment.common.errors import EncoderError

NUMBERS = {word: number for number, word in enumerate(("zero", "one", "two", "three", "four", "five"))}
OF_TEN = re.compile(r"(?<![\d/.])(\d{1,2})(?:\.\d+)?\s*(?:/|out of|of)\s*(?:10|ten)\b(?!/)", re.IGNORECASE)
STARS = re.compile(rf"\b({'|'.join(NUMBERS)}|[0-5])[- ](?:out of (?:5|five) )?stars?\b", re.IGNORECASE)
DIGITS = re.compile(r"\d+")
POSITIVE, NEGATIVE = 0.7, 0.4  # of the highest rating: at least, at most; between them a text says neither
N_GRAMS = (1, 2)
MIN_TEXTS = 20  # that an n-gram occurs in
MAX_FEATURES = 100_000
MAX_OPINION = 3.0  # standard deviations
C = 3.0  # inverse strength of the L2 penalty


def named_rating(text: str, out_of_five: bool) -> bool | None:
    """Return whether the one rating that a text names is positive; None without one, or with several.

    Args:
        text: a review.
        out_of_five: whether stars are counted up to five, as for products; film reviews count them to four, or five.

    >>> named_rating("Dull. I give it 3/10.", False), named_rating("A film of 10 minutes.", False)
    (False, None)
    >>> named_rating("Five stars!", True)
    True
    """
    ratings = {int(number) / 10 for number in OF_TEN.findall(text)}
    if out_of_five:
        ratings |= {
            NUMBERS[word] / 5 if (word := star.lower()) in NUMBERS else int(star) / 5 for star in STARS.findall(text)
        }
    if len(ratings) != 1:
        return None
    (rating,) = ratings
    return True if POSITIVE <= rating <= 1 else False if rating <= NEGATIVE else None


def masked(text: str) -> str:
    """Return a text without the ratings and numbers in it.

    >>> masked("Dull. I give it 3/10.")
    'Dull. I give it  .'
    """
    return DIGITS.sub(" ", STARS.sub(" ", OF_TEN.sub(" ", text)))


def opinions(texts: Sequence[str], out_of_five: Sequence[bool], min_texts: int = MIN_TEXTS) -> NDArray[np.float32]:
    """Return how positive each text is, from its words: log-odds, standardized over all texts. # (n_texts,)

    Args:
        texts: reviews.
        out_of_five: whether the stars of each are counted up to five, see `named_rating`.
        min_texts: that an n-gram occurs in.

    Raises:
        EncoderError: no text names a good rating, or none a bad one.
    """
    named = [named_rating(text, of_five) for text, of_five in zip(texts, out_of_five, strict=True)]
    rows = np.array([row for row, is_positive in enumerate(named) if is_positive is not None], np.int64)
    labels = np.array([named[row] for row in rows], bool)
    if not labels.any() or labels.all():
        raise EncoderError("no text names a good rating such as 9/10, or none a bad one")
    features = TfidfVectorizer(ngram_range=N_GRAMS, min_df=min_texts, max_features=MAX_FEATURES, sublinear_tf=True)
    words = features.fit_transform(map(masked, texts))
    model = LogisticRegression(C=C, class_weight="balanced", max_iter=1_000).fit(words[rows], labels)
    log_odds: NDArray[np.float64] = model.decision_function(words)
    standardized = (log_odds - log_odds.mean()) / log_odds.std()
    bounded: NDArray[np.float64] = np.clip(standardized, -MAX_OPINION, MAX_OPINION)  # those who taught stand out
    return bounded.astype(np.float32)
