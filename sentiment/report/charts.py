"""Make the charts of the report: the plots of dvc.yaml by DVC's templates, and one of the test predictions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from sentiment.common.errors import InputError
from sentiment.experiments.paths import SLICES
from sentiment.experiments.revisions import WORKSPACE, dvc_json

N_THRESHOLDS = 99  # 0.01, 0.02, ... 0.99
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


def plots(titles: Mapping[str, str]) -> list[Plot]:
    """Return what `dvc plots show` draws for the workspace, or `dvc plots diff` for several revisions.

    Args:
        titles: of the revisions, by name; none where only baselines are shown, whose curves DVC does not have.

    Raises:
        InputError: DVC fails, or a plot lacks the data of a revision.
    """
    if not titles:
        return []
    output = dvc_json("plots", "show") if list(titles) == [WORKSPACE] else dvc_json("plots", "diff", *titles)
    for error in output.get("errors", ()):
        raise InputError(f"plots of {error.get('rev')}: {error.get('source', '')} {error.get('msg', 'cannot be read')}")
    return [
        _plot(views[0]["content"], titles, by_slice=path == SLICES)
        for path, views in output["data"].items()
        if views  # none where the file has no rows: nothing was fine-tuned
    ]


def _plot(spec: dict[str, Any], titles: Mapping[str, str], by_slice: bool) -> Plot:
    """Move the title out of the chart, where the page can wrap it, and sort the points by revision."""
    title = spec.pop("title")["text"]
    points = [point for point in spec["data"]["values"] if point["rev"] in titles]  # `diff A` adds the workspace
    order = list(titles)
    spec["data"]["values"] = [
        point | {"rev": titles[point["rev"]]} for point in sorted(points, key=lambda point: order.index(point["rev"]))
    ]
    axes = filter(None, (_axis(spec, axis) for axis in ("y", "x")))
    description = f"Chart of {' by '.join(axes)}, for {' and '.join(titles.values())}"
    return Plot(title, spec | {"description": f"{title}. {description}"}, by_slice)


def _axis(spec: dict[str, Any], axis: str) -> str | None:
    """Return the title of an axis, from the view or the first layer that names it."""
    if title := spec.get("encoding", {}).get(axis, {}).get("title"):
        return str(title)
    inner = [spec["spec"]] if "spec" in spec else spec.get("layer", [])
    return next((title for view in inner if (title := _axis(view, axis))), None)


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
