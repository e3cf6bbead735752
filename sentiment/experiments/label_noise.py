"""Find reviews whose label a classifier that has not seen them contradicts.

The margin of a review is the probability of its label minus the probability of the other label: -1 to 1, below 0 where
the classifier contradicts the label. cleanlab (2.9.0) orders reviews by the same number (`normalized_margin`), but
would be one more package.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from sentiment.common.errors import InputError
from sentiment.data.labels import LABELS
from sentiment.data.text import hash_texts

C = 0.001  # inverse strength of the L2 penalty, on standardized features
MAX_ITER = 1000
N_FOLDS, SEED = 5, 0


def assign_folds(texts: Sequence[str], labels: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return the fold of each review, shape (n_samples,): reviews of equal text are in one fold.

    Else a review would be scored by a model that was trained on its own text.

    Raises:
        InputError: a label has fewer texts than there are folds.
    """
    _, first, text_ids = np.unique(hash_texts(texts), return_index=True, return_inverse=True)
    order = np.argsort(first)  # texts in the order of the reviews
    labels_of_texts = labels[first[order]]
    if (rarest := int(np.bincount(labels_of_texts, minlength=2).min())) < N_FOLDS:
        raise InputError(f"a label has only {rarest} different texts, expected one in each of {N_FOLDS} folds")
    folds = np.empty(len(first), np.int8)
    splitter = StratifiedKFold(N_FOLDS, shuffle=True, random_state=SEED)
    for fold, (_, selected) in enumerate(splitter.split(np.zeros(len(first)), labels_of_texts)):
        folds[order[selected]] = fold
    return folds[text_ids]


def out_of_fold_probabilities(
    features: NDArray[np.float32], labels: NDArray[np.int8], folds: NDArray[np.int8], on_fold: Callable[[], object]
) -> NDArray[np.float64]:
    """Return the probability of label 1 by a logistic regression on the other folds, shape (n_samples,).

    A loop instead of scikit-learn's `cross_val_predict`, which does not tell how far it is.

    Args:
        features: shape (n_samples, dim).
        labels: 0 or 1, shape (n_samples,).
        folds: of `assign_folds`, shape (n_samples,).
        on_fold: called after each fold.
    """
    std = features.std(axis=0)
    x = (features - features.mean(axis=0)) / np.where(std == 0, 1, std)
    probabilities = np.empty(len(labels))
    for fold in range(int(folds.max()) + 1):
        selected = folds == fold
        model = LogisticRegression(C=C, max_iter=MAX_ITER).fit(x[~selected], labels[~selected])
        probabilities[selected] = model.predict_proba(x[selected])[:, 1]
        on_fold()
    return probabilities


def margins(probabilities: NDArray[np.float64], labels: NDArray[np.int8]) -> NDArray[np.float64]:
    """Return the probability of each label minus the probability of the other label, shape (n_samples,).

    Args:
        probabilities: of label 1, shape (n_samples,).
        labels: 0 or 1, shape (n_samples,).
    """
    return np.where(labels == 1, 2 * probabilities - 1, 1 - 2 * probabilities)


def likely_mislabeled(reviews: pa.Table, probabilities: NDArray[np.float64], n: int) -> Iterator[dict[str, Any]]:
    """Yield id, split, text, label, probability and margin of at most `n` reviews of negative margin, the lowest first.

    Args:
        reviews: with columns id, text, label and split.
        probabilities: of "positive", shape (n_samples,), by a classifier that has not seen the review.
    """
    of_reviews = margins(probabilities, reviews["label"].to_numpy())
    for index in np.argsort(of_reviews, kind="stable")[:n].tolist():
        if of_reviews[index] >= 0:
            return
        row = {name: reviews[name][index].as_py() for name in ("id", "split", "text")}
        label = LABELS[reviews["label"][index].as_py()]
        yield row | {"label": label, "probability": float(probabilities[index]), "margin": float(of_reviews[index])}
