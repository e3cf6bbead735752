"""Test whether new reviews differ from known ones: in length, in spelling, in what is predicted, and in content.

Of both at most `MAX_REVIEWS` are compared, so that no difference is found for the size of the data alone, and a
difference must be both more than chance and large enough to matter.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ks_2samp, mannwhitneyu
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sentiment.evaluation.significance import holm
from sentiment.inference.classifier import SentimentClassifier

MAX_REVIEWS = 2_000
ALPHA = 0.01  # chance of any alarm where nothing differs
MIN_DISTANCE = 0.08  # between two distributions (Kolmogorov-Smirnov), from 0 to 1
MIN_AUC = 0.58  # with which a linear classifier separates new from known; 0.5 is a guess
C2ST_C, FOLDS = 0.001, 5

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """What reviews are like.

    Attributes:
        measures: numbers of each review, by name, shape (n_reviews,) each.
        features: of the encoder, shape (n_reviews, dim); None for a log of predictions, which has no content.
    """

    measures: Mapping[str, Floats]
    features: NDArray[np.float32] | None

    @classmethod
    def of(cls, classifier: SentimentClassifier, texts: Sequence[str]) -> Self:
        """Return the sample of texts, none of which is blank."""
        cleaned = classifier.clean(texts)
        read, whole = classifier.encoder.tokenize_whole(cleaned)
        features = classifier.encoder.encode_tokens(read)
        n_tokens = np.array([len(ids) for ids in whole], np.float64)
        n_words = np.array([len(text.split()) for text in cleaned], np.float64)
        return cls(measures(n_words, n_tokens, classifier.score(features, whole).astype(np.float64)), features)

    def __getitem__(self, rows: NDArray[np.intp]) -> Self:
        """Return some of the reviews."""
        features = None if self.features is None else self.features[rows]
        return type(self)({name: values[rows] for name, values in self.measures.items()}, features)


def measures(n_words: Floats, n_tokens: Floats, probabilities: Floats) -> dict[str, Floats]:
    """Return what is known of reviews without their texts, shape (n_reviews,) each."""
    return {
        "length (words)": n_words,
        "tokens per word": n_tokens / np.maximum(n_words, 1),  # rises with typos, names, other languages
        "probability of positive": probabilities,
    }


@dataclass(frozen=True)
class Shift:
    """How new reviews differ from known ones in one respect.

    Attributes:
        group: of the new reviews: a value of a column, or "" for all.
        name: of the respect.
        known, new: medians; None for content.
        distance: between the distributions, from 0 to 1; for content twice the excess of the AUC over 0.5.
        p_value: corrected for all that is tested.
        alarm: whether it is more than chance, and large enough.
    """

    group: str
    name: str
    known: float | None
    new: float | None
    distance: float
    p_value: float
    alarm: bool


def shifts(groups: Mapping[str, tuple[Sample, Sample]]) -> list[Shift]:
    """Return every test of every group: known reviews, and new ones."""
    found = [one for group, (known, new) in groups.items() for one in _uncorrected(group, known, new)]
    corrected = holm([one.p_value for one in found])
    return [replace(one, p_value=p, alarm=one.alarm and p < ALPHA) for one, p in zip(found, corrected, strict=True)]


def _uncorrected(group: str, known: Sample, new: Sample) -> Iterator[Shift]:
    """Yield every test of one group, with its own p value; `alarm` says whether the difference is large enough."""
    for name, values in known.measures.items():
        result = ks_2samp(values, new.measures[name])
        medians = float(np.median(values)), float(np.median(new.measures[name]))
        distance = float(result.statistic)
        yield Shift(group, name, *medians, distance, float(result.pvalue), distance >= MIN_DISTANCE)
    # fewer reviews than folds cannot be cross-validated
    if known.features is not None and new.features is not None and len(new.features) >= FOLDS:
        auc, p_value = content_auc(known.features, new.features)
        yield Shift(group, "content", None, None, max(0.0, 2 * auc - 1), p_value, auc >= MIN_AUC)


def content_auc(known: NDArray[np.float32], new: NDArray[np.float32]) -> tuple[float, float]:
    """Return the AUC with which a classifier separates new features from known ones, and its one-sided p value.

    A classifier two-sample test (Lopez-Paz and Oquab, 2017, https://arxiv.org/abs/1610.06545), by cross-validation. The
    p value is Mann-Whitney's.
    """
    is_new = np.repeat([0, 1], [len(known), len(new)])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=C2ST_C, class_weight="balanced", max_iter=200))
    scores = cross_val_predict(model, np.concatenate([known, new]), is_new, cv=FOLDS, method="decision_function")
    result = mannwhitneyu(scores[is_new == 1], scores[is_new == 0], alternative="greater")
    return float(result.statistic) / (len(known) * len(new)), float(result.pvalue)


def evenly(n: int, at_most: int) -> NDArray[np.intp]:
    """Return at most so many of n rows, evenly spread.

    >>> evenly(10, 3).tolist(), evenly(2, 3).tolist()
    ([0, 3, 6], [0, 1])
    """
    return np.arange(n) if n <= at_most else (np.arange(at_most) * n // at_most).astype(np.intp)
