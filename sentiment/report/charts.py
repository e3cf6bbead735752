"""Make the charts of the report: the plots of dvc.yaml by DVC's templates, and two of the test predictions."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from sentiment.common.errors import InputError
from sentiment.experiments.revisions import WORKSPACE, dvc_json

SLICES_FILE = "metrics/slices.csv"
N_BINS = 20  # of the histogram
N_THRESHOLDS = 99  # 0.01, 0.02, ... 0.99
BINS = {"binned": True, "step": 1 / N_BINS}
REVISION = {"field": "rev", "type": "nominal", "sort": None, "title": "revision"}


@dataclass(frozen=True)
class Plot:
    """One chart.

    Attributes:
        spec: Vega-Lite, with a description for readers who cannot see it.
        by_slice: whether it is the chart of slices, which have a section of their own.
    """

    title: str
    spec: dict[str, Any]
    by_slice: bool = False


def plots(titles: Mapping[str, str], kept_epochs: Mapping[str, Mapping[str, int]]) -> list[Plot]:
    """Return what `dvc plots show` draws for the workspace, or `dvc plots diff` for several revisions.

    Args:
        titles: of the revisions, by name; none where only baselines are shown, whose curves DVC does not have.
        kept_epochs: by folder of training curves and by title; marked in charts by epoch.

    Raises:
        InputError: DVC fails, or a plot lacks the data of a revision.
    """
    if not titles:
        return []
    output = dvc_json("plots", "show") if list(titles) == [WORKSPACE] else dvc_json("plots", "diff", *titles)
    for error in output.get("errors", ()):
        raise InputError(f"plots of {error.get('rev')}: {error.get('source', '')} {error.get('msg', 'cannot be read')}")
    return [
        replace(
            _plot(views[0]["content"], titles, kept_epochs.get(path.rpartition("/")[0], {})),
            by_slice=path == SLICES_FILE,
        )
        for path, views in output["data"].items()
        if views  # none where the file has no rows: nothing was fine-tuned
    ]


def _plot(spec: dict[str, Any], titles: Mapping[str, str], kept_epochs: Mapping[str, int]) -> Plot:
    """Move the title out of the chart, where the page can wrap it, and sort the points by revision."""
    title = spec.pop("title")["text"]
    points = [point for point in spec["data"]["values"] if point["rev"] in titles]  # `diff A` adds the workspace
    order = list(titles)
    spec["data"]["values"] = [
        point | {"rev": titles[point["rev"]]} for point in sorted(points, key=lambda point: order.index(point["rev"]))
    ]
    axes = [_axis(spec, axis) for axis in ("y", "x")]
    if axes[1] == "epoch":
        _mark_epochs(spec, kept_epochs)
        title = f"{title} (dashed: the epoch that is kept)"
    description = f"Chart of {' by '.join(filter(None, axes))}, for {' and '.join(titles.values())}"
    return Plot(title, spec | {"description": f"{title}. {description}"})


def _axis(spec: dict[str, Any], axis: str) -> str | None:
    """Return the title of an axis, from the view or the first layer that names it."""
    if title := spec.get("encoding", {}).get(axis, {}).get("title"):
        return str(title)
    inner = [spec["spec"]] if "spec" in spec else spec.get("layer", [])
    return next((title for view in inner if (title := _axis(view, axis))), None)


def _mark_epochs(spec: dict[str, Any], kept_epochs: Mapping[str, int]) -> None:
    """Add a vertical line at the kept epoch of each revision."""
    shared = spec.pop("encoding", {})  # moved into the layers, because the new layer has no y
    for layer in spec["layer"]:
        layer["encoding"] = shared | layer.get("encoding", {})
    spec["layer"].append(
        {
            "data": {"values": [{"rev": name, "epoch": epoch} for name, epoch in kept_epochs.items()]},
            "mark": {"type": "rule", "strokeDash": [4, 4], "opacity": 0.7},
            "encoding": {
                "x": {"field": "epoch", "type": "quantitative"},
                "color": shared.get("color", {"value": "grey"}),
                "tooltip": [{"field": "rev"}, {"field": "epoch"}],
            },
        }
    )


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
