"""The pictures of dvc.yaml as Vega-Lite, drawn by DVC's own templates."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sentiment.common.errors import InputError
from sentiment.tracking.dvc_output import dvc_json
from sentiment.tracking.revisions import WORKSPACE


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        spec: Vega-Lite, with a description for those who cannot see it.
    """

    title: str
    spec: dict[str, Any]

    @property
    def by_slice(self) -> bool:
        """Whether it belongs to the slices, which have a section of their own."""
        return bool(self.spec.get("facet", {}).get("row"))


def pictures(revisions: Sequence[str]) -> list[Picture]:
    """Return what `dvc plots show` draws for the workspace, or `dvc plots diff` for two revisions.

    Raises:
        InputError: DVC refuses, or a picture lacks the data of a revision.
    """
    told = dvc_json("plots", "show") if list(revisions) == [WORKSPACE] else dvc_json("plots", "diff", *revisions)
    for error in told.get("errors", ()):
        raise InputError(f"plots of {error.get('rev')}: {error.get('source', '')} {error.get('msg', 'cannot be read')}")
    # a name with a slash is a file of points, which DVC draws once more by itself
    defined = (views for name, views in told["data"].items() if views and "/" not in name)
    return [_picture(views[0]["content"], revisions) for views in defined]


def _picture(spec: dict[str, Any], revisions: Sequence[str]) -> Picture:
    """Put the title outside of the drawing, where the page can wrap it, and the revisions in the order asked for."""
    title = spec.pop("title")["text"]
    spec["data"]["values"].sort(key=lambda point: revisions.index(point["rev"]))
    axes = [_axis(spec, axis) for axis in ("y", "x")]
    description = f"Chart of {' by '.join(filter(None, axes))}, for {' and '.join(revisions)}"
    return Picture(title, spec | {"description": f"{title}. {description}"})


def _axis(spec: dict[str, Any], axis: str) -> str | None:
    """Return the title of an axis, from the view or the first layer that names it."""
    if title := spec.get("encoding", {}).get(axis, {}).get("title"):
        return str(title)
    inner = [spec["spec"]] if "spec" in spec else spec.get("layer", [])
    return next((title for view in inner if (title := _axis(view, axis))), None)
