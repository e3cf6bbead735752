"""The folder of a baseline: files of the same form as those of the pipeline, so that commands read both alike.

data/baseline/tfidf/predictions.parquet and the other files of FILES
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from numpy.typing import NDArray
from pydantic import ConfigDict
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from sentiment.common.errors import InputError, one_line
from sentiment.common.files import write_csv, write_json, write_text
from sentiment.evaluation.metrics import SLICE_COLUMNS, confusion_counts, log_loss, rank_counts, roc_auc
from sentiment.evaluation.scoring import ScoringParams, score, write_predictions
from sentiment.head.classifier import LABELS

BASELINES_FOLDER = Path("data/baseline")
TFIDF, TFIDF_FEATURES, MAJORITY = "tfidf", "tfidf-features", "majority"
BASELINES = {  # name: what it is
    TFIDF: "TF-IDF, logistic regression",
    TFIDF_FEATURES: "TF-IDF and features side by side, logistic regression",
    MAJORITY: "the majority class",
}
FILES = {  # what the pipeline calls a file: its name in the folder
    "data/evaluate/predictions.parquet": "predictions.parquet",
    "data/evaluate/metrics.json": "metrics.json",
    "metrics/slices.csv": "slices.csv",
    "metrics/split.json": "split.json",
    "params.yaml": "params.yaml",
}
THRESHOLD = 0.5  # a probability of at least this is positive
VAL_METRICS = "val.json"  # accuracy and roc_auc on val


@dataclass(frozen=True)
class Scored:
    """A trained baseline.

    Attributes:
        probabilities: of "positive" for each test review, shape (n_samples,).
        val_metrics: accuracy and roc_auc on val.
        settings: what the report shows as the baseline's params.
        grid: C and metrics on val of every model that was tried.
    """

    probabilities: NDArray[np.float32]
    val_metrics: Mapping[str, float]
    settings: Mapping[str, Any]
    grid: Sequence[Mapping[str, float]]


class EvaluationParams(ScoringParams):
    """What a baseline takes from section `evaluate` of params.yaml; the stage checks the other keys."""

    model_config = ConfigDict(extra="ignore")


def write_baseline(
    folder: Path,
    test: pa.Table,
    scored: Scored,
    params: EvaluationParams,
    recorded_params: Mapping[str, Any],
    n_reviews: Mapping[str, int],
) -> dict[str, float]:
    """Score a baseline on the test table and write the files of `FILES`; return the metrics.

    Args:
        test: with columns id, label, text and the slices, one row per review.
        recorded_params: sections that the report shows as the baseline's params.
        n_reviews: by split.
    """
    scores = score(test, scored.probabilities, THRESHOLD, LABELS, params)
    metrics: dict[str, float] = scores["metrics"]
    write_json(folder / "metrics.json", {**metrics, "by_label": scores["by_label"]})
    write_csv(folder / "slices.csv", scores["slices"], columns=SLICE_COLUMNS)
    write_json(folder / VAL_METRICS, {name: scored.val_metrics[name] for name in ("accuracy", "roc_auc")})
    write_json(folder / "split.json", {name: {"rows": rows} for name, rows in n_reviews.items()})
    write_text(folder / "params.yaml", yaml.safe_dump(dict(recorded_params), sort_keys=False))
    write_predictions(folder / "predictions.parquet", test, scored.probabilities, THRESHOLD, LABELS)
    return metrics


VECTORIZER: dict[str, Any] = {"ngram_range": (1, 2), "min_df": 2, "sublinear_tf": True}
FEATURE_SCALE = 0.01  # of standardized features beside TF-IDF; of 0.01, 0.03 and 0.1 the lowest log loss on real val
MAX_ITER = 1000

Vectors = dict[str, csr_matrix]  # by split, shape (n_samples, n_ngrams)


@dataclass(frozen=True)
class Candidate:
    """A model of one value of C, the inverse strength of the L2 penalty.

    Attributes:
        metrics: accuracy, roc_auc and log_loss (nats) on val.
    """

    c: float
    metrics: dict[str, float]
    model: LogisticRegression

    def predict_proba(self, vectors: csr_matrix) -> NDArray[np.float32]:
        """Return the probability of label 1, shape (n_samples,)."""
        return np.asarray(self.model.predict_proba(vectors)[:, 1], dtype=np.float32)


def tfidf_vectors(tables: Mapping[str, pa.Table]) -> Vectors:
    """Return the TF-IDF vectors of each split; words and weights come from the train split.

    Raises:
        InputError: no word is in two train reviews.
    """
    vectorizer = TfidfVectorizer(**VECTORIZER)
    try:
        vectorizer.fit(tables["train"]["text"].to_pylist())
    except ValueError as error:
        raise InputError(f"TF-IDF of {len(tables['train'])} train reviews: {one_line(error)}") from None
    return {name: csr_matrix(vectorizer.transform(table["text"].to_pylist())) for name, table in tables.items()}


def side_by_side(vectors: Vectors, features: Mapping[str, NDArray[np.float32]]) -> Vectors:
    """Return TF-IDF vectors followed by standardized features times `FEATURE_SCALE`, by split.

    Args:
        vectors: of the texts, shape (n_samples, n_ngrams).
        features: of the encoder, shape (n_samples, dim).
    """
    mean, std = features["train"].mean(axis=0), features["train"].std(axis=0)
    std[std == 0] = 1
    return {
        name: csr_matrix(hstack([one, csr_matrix((features[name] - mean) / std * FEATURE_SCALE)]))
        for name, one in vectors.items()
    }


def train_grid(vectors: Vectors, tables: Mapping[str, pa.Table], c_grid: Sequence[float]) -> Iterator[Candidate]:
    """Yield a model for each value of C, as soon as it is trained on the train split.

    The solver is liblinear: one thread and no random numbers, so equal inputs give equal models on one machine. Another
    processor rounds differently, and because the solver stops early, probabilities then differ by up to 3e-6.
    """
    labels = {name: table["label"].to_numpy() for name, table in tables.items()}
    for c in c_grid:
        model = LogisticRegression(C=c, solver="liblinear", max_iter=MAX_ITER)
        model.fit(vectors["train"], labels["train"])
        probabilities = Candidate(c, {}, model).predict_proba(vectors["val"])
        predicted = (probabilities >= THRESHOLD).astype(np.int8)
        metrics = {
            "accuracy": confusion_counts(labels["val"], predicted).accuracy,
            "roc_auc": roc_auc(rank_counts(labels["val"], probabilities)),
            "log_loss": log_loss(labels["val"], probabilities),
        }
        yield Candidate(c, metrics, model)


def best(candidates: Sequence[Candidate]) -> Candidate:
    """Return the candidate of lowest log loss on val, as the stage `train` chooses an epoch; of equals the first."""
    return min(candidates, key=lambda candidate: candidate.metrics["log_loss"])
