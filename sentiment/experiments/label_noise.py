"""Features and labels in; how much a classifier that has not seen a review contradicts its label out.

The margin of a review is the probability of its label minus that of the other label: -1 to 1, below 0 where the
classifier contradicts the label. cleanlab (2.9.0) orders reviews by the same number (`normalized_margin`); its adjusted
probabilities and its choice of reviews (`find_label_issues`) found fewer flipped labels on the real reviews, see
docs/labeling.md.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

C = 0.001  # inverse strength of the L2 penalty, on standardized features; 0.01 finds slightly fewer flipped labels
MAX_ITER = 1000


def out_of_fold_probabilities(
    features: NDArray[np.float32],
    labels: NDArray[np.int8],
    n_folds: int,
    seed: int,
    on_fold: Callable[[], object],
) -> NDArray[np.float64]:
    """Return the probability of label 1 by a logistic regression on the other folds, shape (n_samples,).

    A loop instead of scikit-learn's `cross_val_predict`, which does not tell how far it is.

    Args:
        features: shape (n_samples, dim).
        labels: 0 or 1, shape (n_samples,), each at least `n_folds` times.
        n_folds: number of folds, each with the same share of label 1.
        seed: of the assignment to folds.
        on_fold: called after each fold.
    """
    from sklearn.linear_model import LogisticRegression  # 1 s, which `sentiment noise --help` does not need
    from sklearn.model_selection import StratifiedKFold

    std = features.std(axis=0)
    x = (features - features.mean(axis=0)) / np.where(std == 0, 1, std)
    probabilities = np.empty(len(labels))
    for others, fold in StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(x, labels):
        model = LogisticRegression(C=C, max_iter=MAX_ITER).fit(x[others], labels[others])
        probabilities[fold] = model.predict_proba(x[fold])[:, 1]
        on_fold()
    return probabilities


def margins(probabilities: NDArray[np.float64], labels: NDArray[np.int8]) -> NDArray[np.float64]:
    """Return the probability of each label minus that of the other label, shape (n_samples,).

    Args:
        probabilities: of label 1, shape (n_samples,).
        labels: 0 or 1, shape (n_samples,).
    """
    return np.where(labels == 1, 2 * probabilities - 1, 1 - 2 * probabilities)


def flip_labels(labels: NDArray[np.int8], share: float, seed: int) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """Return labels of which a random share is changed, and which ones those are, both of shape (n_samples,)."""
    rng = np.random.default_rng(seed)
    flipped = np.zeros(len(labels), dtype=bool)
    flipped[rng.choice(len(labels), round(share * len(labels)), replace=False)] = True
    return np.where(flipped, 1 - labels, labels).astype(np.int8), flipped
