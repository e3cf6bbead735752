"""Predictions in, Vega-Lite charts out that DVC does not draw: a histogram of probabilities, metrics by threshold."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from sentiment.report.plots import Plot

N_BINS = 20  # of the histogram
N_THRESHOLDS = 99  # 0.01, 0.02, ... 0.99

BINS = {"binned": True, "step": 1 / N_BINS}
REVISION = {"field": "rev", "type": "nominal", "sort": None, "title": "revision"}


def probability_histogram(predictions: Mapping[str, pa.Table], labels: tuple[str, ...]) -> Plot:
    """Return a histogram of the probability of "positive" by actual label, one panel per revision."""
    edges = np.linspace(0, 1, N_BINS + 1)
    values = [
        {"rev": name, "actual": label, "from": edges[index], "to": edges[index + 1], "reviews": int(count)}
        for name, table in predictions.items()
        for number, label in enumerate(labels)
        for index, count in enumerate(np.histogram(_probabilities(table)[_actual(table) == number], edges)[0])
    ]
    title = f"Probability of {labels[1]} by actual label"
    spec = {
        "data": {"values": values},
        "facet": {"column": {"field": "rev", "sort": list(predictions), "title": None}},
        "spec": {
            "width": 240,
            "height": 200,
            "mark": {"type": "bar", "binSpacing": 0},
            "encoding": {
                "x": {"field": "from", "type": "quantitative", "title": "probability", "bin": BINS},
                "x2": {"field": "to"},
                "y": {"field": "reviews", "type": "quantitative", "title": "reviews"},
                "color": {"field": "actual", "type": "nominal", "sort": list(labels), "title": "actual label"},
                "tooltip": [{"field": name} for name in ("actual", "from", "to", "reviews")],
            },
        },
    }
    return Plot(title, spec | {"description": f"{title}. Histogram, for {' and '.join(predictions)}"})


def threshold_curve(predictions: Mapping[str, pa.Table], thresholds: Mapping[str, float]) -> Plot:
    """Return accuracy, precision and recall by threshold; the classifier's threshold is a dashed line.

    Precision is left out where no review is predicted positive.
    """
    values: list[dict[str, Any]] = []
    grid = np.arange(1, N_THRESHOLDS + 1) / (N_THRESHOLDS + 1)
    for name, table in predictions.items():
        probabilities, actual = _probabilities(table), _actual(table)
        positives, negatives = np.sort(probabilities[actual == 1]), np.sort(probabilities[actual == 0])
        for threshold in grid:
            true_positives = len(positives) - int(np.searchsorted(positives, np.float32(threshold)))
            false_positives = len(negatives) - int(np.searchsorted(negatives, np.float32(threshold)))
            counts = {
                "accuracy": (true_positives + len(negatives) - false_positives, len(actual)),
                "precision": (true_positives, true_positives + false_positives),
                "recall": (true_positives, len(positives)),
            }
            for metric, (numerator, total) in counts.items():
                if total:
                    point = {"rev": name, "metric": metric, "threshold": float(threshold)}
                    values.append(point | {"value": numerator / total})
    rules = [{"rev": name, "threshold": threshold} for name, threshold in thresholds.items()]
    x = {"field": "threshold", "type": "quantitative", "scale": {"domain": [0, 1]}, "title": "threshold"}
    y = {"field": "value", "type": "quantitative", "scale": {"zero": False}, "title": "accuracy, precision, recall"}
    dash = {"strokeDash": REVISION} if len(predictions) > 1 else {}
    line = {"x": x, "y": y, "color": {"field": "metric", "type": "nominal", "title": "metric"}, **dash}
    title = "Accuracy, precision and recall by threshold"
    spec = {
        "data": {"values": values},
        "height": 260,
        "layer": [
            {"mark": "line", "encoding": line | {"tooltip": [{"field": name} for name in values[0]]}},
            {
                "data": {"values": rules},
                "mark": {"type": "rule", "strokeDash": [4, 4], "color": "grey"},
                "encoding": {"x": x, "tooltip": [{"field": "rev"}, {"field": "threshold"}]},
            },
        ],
    }
    return Plot(title, spec | {"description": f"{title}. Chart, for {' and '.join(predictions)}"})


def _probabilities(table: pa.Table) -> Any:
    return table["probability"].to_numpy()


def _actual(table: pa.Table) -> Any:
    return table["label"].to_numpy()
