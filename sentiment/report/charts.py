"""Make the charts of the report: the plots of dvc.yaml, by DVC's templates."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sentiment.common.errors import InputError
from sentiment.common.tables import TEST, VAL
from sentiment.experiments.paths import PLOTS, SLICES
from sentiment.experiments.revisions import WORKSPACE, Revision, dvc_json


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


def plots(revisions: Mapping[str, Revision], split: str) -> list[Plot]:
    """Return what `dvc plots show` draws for the workspace, or `dvc plots diff` for several revisions.

    Args:
        revisions: by title; none where only baselines are shown, whose curves DVC does not have.
        split: of the curves; those of dvc.yaml are of val, and of test they hold other points.

    Raises:
        InputError: DVC fails, or a plot lacks the data of a revision.
    """
    if not revisions:
        return []
    titles = {revision.name: title for title, revision in revisions.items()}
    output = dvc_json("plots", "show") if list(titles) == [WORKSPACE] else dvc_json("plots", "diff", *titles)
    for error in output.get("errors", ()):
        raise InputError(f"plots of {error.get('rev')}: {error.get('source', '')} {error.get('msg', 'cannot be read')}")
    specs = {path: views[0]["content"] for path, views in output["data"].items() if views}  # none: nothing fine-tuned
    if split == TEST:
        for paths in (SLICES, *PLOTS):
            if paths[VAL] in specs:
                _show_test(specs[paths[VAL]], paths, revisions)
    return [_plot(spec, titles, by_slice=path == SLICES[VAL]) for path, spec in specs.items()]


def _show_test(spec: dict[str, Any], paths: Mapping[str, str], revisions: Mapping[str, Revision]) -> None:
    """Put the points of test in the place of those of val."""
    spec["title"]["text"] = spec["title"]["text"].replace("val reviews", "test reviews")
    of_dvc = {key: value for key, value in spec["data"]["values"][0].items() if key in ("filename", "field")}
    spec["data"]["values"] = [
        {**row, **of_dvc, "rev": revision.name}
        for revision in revisions.values()
        for row in csv.DictReader(io.StringIO(revision.read_scored(paths, TEST).decode()))
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
