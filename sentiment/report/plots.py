"""The plots of dvc.yaml as Vega-Lite, drawn by DVC's own templates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sentiment.common.errors import InputError
from sentiment.tracking.dvc_output import dvc_json
from sentiment.tracking.revisions import WORKSPACE

SLICES_FILE = "metrics/slices.csv"


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


def plots(revisions: Sequence[str], kept_epochs: Mapping[str, Mapping[str, int]]) -> list[Plot]:
    """Return what `dvc plots show` draws for the workspace, or `dvc plots diff` for two revisions.

    Args:
        revisions: names of one or two revisions; none where only baselines are shown, whose curves DVC does not have.
        kept_epochs: by folder of training curves and by revision; marked in charts by epoch.

    Raises:
        InputError: DVC fails, or a plot lacks the data of a revision.
    """
    if not revisions:
        return []
    output = dvc_json("plots", "show") if list(revisions) == [WORKSPACE] else dvc_json("plots", "diff", *revisions)
    for error in output.get("errors", ()):
        raise InputError(f"plots of {error.get('rev')}: {error.get('source', '')} {error.get('msg', 'cannot be read')}")
    return [
        replace(
            _plot(views[0]["content"], revisions, kept_epochs.get(path.rpartition("/")[0], {})),
            by_slice=path == SLICES_FILE,
        )
        for path, views in output["data"].items()
        if views  # none where the file has no rows: nothing was fine-tuned
    ]


def _plot(spec: dict[str, Any], revisions: Sequence[str], kept_epochs: Mapping[str, int]) -> Plot:
    """Move the title out of the chart, where the page can wrap it, and sort the points by revision."""
    title = spec.pop("title")["text"]
    points = [point for point in spec["data"]["values"] if point["rev"] in revisions]  # `diff A` adds the workspace
    spec["data"]["values"] = sorted(points, key=lambda point: revisions.index(point["rev"]))
    axes = [_axis(spec, axis) for axis in ("y", "x")]
    if axes[1] == "epoch":
        _mark_epochs(spec, kept_epochs)
        title = f"{title} (dashed: the epoch that is kept)"
    description = f"Chart of {' by '.join(filter(None, axes))}, for {' and '.join(revisions)}"
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
