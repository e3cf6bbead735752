"""Texts and labels in; a bag-of-words classifier out, whose regularization is chosen on the val split.

The whole train split is in memory: some 100 MB for 20,000 reviews.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from sentiment.baseline.folder import THRESHOLD
from sentiment.common.errors import InputError, one_line
from sentiment.evaluation.confusion import confusion_counts
from sentiment.evaluation.metrics import log_loss
from sentiment.evaluation.ranking import rank_counts, roc_auc

# words and pairs of words that are in two reviews or more; 1 + log(count), so that a repeated word counts less
VECTORIZER: dict[str, Any] = {"ngram_range": (1, 2), "min_df": 2, "sublinear_tf": True}
MAX_ITER = 1000


@dataclass(frozen=True)
class Candidate:
    """One value of C.

    Attributes:
        metrics: accuracy, roc_auc and log_loss (nats) on val.
    """

    c: float
    metrics: dict[str, float]
    model: LogisticRegression


class TfidfGrid:
    """TF-IDF vectors of the train and val splits, for one logistic regression per value of C.

    Attributes:
        n_ngrams: number of different words and pairs of words in the vectors.
    """

    def __init__(self, train: pa.Table, val: pa.Table) -> None:
        """Fit the vectorizer to `train`; both tables have the columns text and label.

        Raises:
            InputError: no word is in two train reviews.
        """
        self._vectorizer = TfidfVectorizer(**VECTORIZER)
        try:
            self._train = self._vectorizer.fit_transform(train["text"].to_pylist())
        except ValueError as error:
            raise InputError(f"TF-IDF of {len(train)} train reviews: {one_line(error)}") from None
        self._val = self._vectorizer.transform(val["text"].to_pylist())
        self._train_labels, self._val_labels = train["label"].to_numpy(), val["label"].to_numpy()
        self.n_ngrams = int(self._train.shape[1])

    def candidates(self, c_grid: Sequence[float]) -> Iterator[Candidate]:
        """Yield a model for each value of C, as soon as it is trained.

        The solver is liblinear: one thread and no random numbers, so equal inputs give equal models.
        """
        for c in c_grid:
            model = LogisticRegression(C=c, solver="liblinear", max_iter=MAX_ITER)
            model.fit(self._train, self._train_labels)
            probabilities = model.predict_proba(self._val)[:, 1].astype(np.float32)
            predicted = (probabilities >= THRESHOLD).astype(np.int8)
            metrics = {
                "accuracy": confusion_counts(self._val_labels, predicted).accuracy,
                "roc_auc": roc_auc(rank_counts(self._val_labels, probabilities)),
                "log_loss": log_loss(self._val_labels, probabilities),
            }
            yield Candidate(c, metrics, model)

    def predict_proba(self, candidate: Candidate, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the probability of label 1, shape (n_samples,)."""
        return np.asarray(candidate.model.predict_proba(self._vectorizer.transform(texts))[:, 1], dtype=np.float32)


def best(candidates: Sequence[Candidate]) -> Candidate:
    """Return the candidate of lowest log loss on val, as the stage `train` chooses an epoch; of equals the first."""
    return min(candidates, key=lambda candidate: candidate.metrics["log_loss"])
