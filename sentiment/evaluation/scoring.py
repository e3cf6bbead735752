"""A test table and its probabilities in; metrics, the report by label and accuracy by slice out.

The stage `evaluate` scores the classifier so, and `sentiment baseline` what the classifier should beat.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from sentiment.common.params import StageParams
from sentiment.evaluation.confusion import classification_report, confusion_counts
from sentiment.evaluation.metrics import accuracy_by_slice, compute_metrics
from sentiment.evaluation.slices import slice_values


class ScoringParams(StageParams):
    """What decides the scores, of section `evaluate` of params.yaml.

    Attributes:
        slices: columns of the test table, or "length".
        length_edges: upper bounds of the bins of "length", in words.
        n_resamples, seed: of the bootstrap.
    """

    slices: tuple[str, ...]
    length_edges: tuple[int, ...]
    calibration_bins: int = Field(ge=1, le=1000)
    n_resamples: int = Field(ge=100)
    seed: int = Field(ge=0)


def score(
    table: pa.Table,
    probabilities: NDArray[np.float32],
    threshold: float,
    labels: tuple[str, str],
    params: ScoringParams,
) -> dict[str, Any]:
    """Return "metrics" and "by_label" (mappings), and "slices" (rows).

    Args:
        table: with columns label, text and the slices, one row per review.
        probabilities: of label 1, shape (n_samples,).
        threshold: a probability of at least this is label 1.
        labels: names of the labels 0 and 1.
    """
    actual = table["label"].to_numpy()
    predicted = (probabilities >= threshold).astype(np.int8)
    return {
        "metrics": compute_metrics(
            actual, probabilities, threshold, params.calibration_bins, params.n_resamples, params.seed
        ),
        "by_label": classification_report(confusion_counts(actual, predicted), labels),
        "slices": list(accuracy_by_slice(actual == predicted, slice_values(table, params.slices, params.length_edges))),
    }
