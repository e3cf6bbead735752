"""The points of the plots, by hand; tests/evaluation/test_against_sklearn.py compares curves with scikit-learn's."""

import numpy as np
import pytest

from sentiment.evaluation.curves import (
    MAX_POINTS,
    confusion_points,
    precision_recall_points,
    rank_counts,
    roc_points,
    thinned_points,
)


def test_curves_are_thinned_and_keep_their_ends() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.random(5000).astype(np.float32)
    labels = (rng.random(5000) < probabilities).astype(np.int8)
    for curve in (roc_points, precision_recall_points):
        x, y = curve(rank_counts(labels, probabilities))
        points = thinned_points(x=x, y=y)
        assert len(points) == MAX_POINTS < len(x)
        assert (points[0], points[-1]) == ({"x": x[0], "y": y[0]}, {"x": x[-1], "y": y[-1]})


def test_confusion_matrix_by_hand() -> None:
    cells = confusion_points(np.array([0, 0, 1, 1, 1], np.int8), np.array([0, 1, 1, 1, 0], np.int8))
    assert [(cell["actual"], cell["predicted"], cell["rows"]) for cell in cells] == [
        ("negative", "negative", 1),
        ("negative", "positive", 1),
        ("positive", "negative", 1),
        ("positive", "positive", 2),
    ]
    assert cells[3]["share"] == pytest.approx(2 / 3)
