"""The folder of a baseline: files of the same form as those of the pipeline, so that commands read both alike.

data/baseline/tfidf/predictions.parquet and the other files of FILES
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from numpy.typing import NDArray
from pydantic import ConfigDict

from sentiment.common.files import write_csv, write_json, write_text
from sentiment.evaluation.metrics import SLICE_COLUMNS
from sentiment.evaluation.predictions import write_predictions
from sentiment.evaluation.scoring import ScoringParams, score
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
