"""Collect what the report shows of revisions: metrics, comparisons, params, charts, reviews."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sentiment.common.errors import InputError
from sentiment.common.params import read_yaml
from sentiment.common.tables import SCORED, SPLITS, TEST, VAL
from sentiment.evaluation.metrics import METRICS, OPTIONAL_METRICS, Metric
from sentiment.evaluation.significance import Comparison
from sentiment.experiments.comparison import (
    changed_params,
    compare,
    correct_for_many,
    flat_params,
    read_predictions,
    sentence,
)
from sentiment.experiments.revisions import (
    ALL_METRICS,
    BEHAVIOR,
    ENCODER_METRICS,
    HEAD_METRICS,
    PARAMS,
    PLOTS,
    SLICES,
    SPLIT,
    SPLIT_METRICS,
    WORKSPACE,
    Revision,
    commit_subject,
    dvc_json,
    resolve,
    workspace_title,
)
from sentiment.head.epoch_log import KeptEpoch, kept_epoch
from sentiment.report.reviews import (
    LocalReview,
    MisclassifiedTable,
    Piece,
    explained_reviews,
    local_reviews,
    misclassified_tables,
)

Slices = Mapping[tuple[str, str], Mapping[str, float]]
Params = Mapping[str, Any]


@dataclass(frozen=True)
class RevisionResults:
    """One revision.

    Attributes:
        name: as git and DVC know it.
        title: as the page calls it: its name, and for the workspace its branch.
        metrics: of the reviews of the split, with their intervals; those that this revision's code computed.
        slices: rows, and primary metrics with their intervals, by (slice, value).
        n_reviews: by split.
        head_epoch: of the head, the epoch that is kept; None for a baseline, which has no epochs.
        encoder_epoch: of fine-tuning the encoder; None where it is frozen.
        params: every value by its full name (`train.epochs`).
        behavior: results by kind of behavioral test; empty where they are not available, as for a baseline or a
            commit without the stage `check`.
        subject: of the commit; empty for what is no commit.
    """

    name: str
    title: str
    metrics: Mapping[str, float]
    slices: Slices
    n_reviews: Mapping[str, int]
    head_epoch: KeptEpoch | None
    encoder_epoch: KeptEpoch | None
    params: Params
    behavior: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    subject: str = ""


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


@dataclass(frozen=True)
class ReportData:
    """What the page shows.

    Attributes:
        split: whose reviews all metrics, slices and curves are of.
        comparisons: of the other revisions with the first one, by title, where they can be compared.
        verdicts: a sentence on each of the other revisions; for one revision, on that one.
        misclassified: tables of reviews.
        reviews: their texts and ratings by id.
        explained: texts of those reviews in pieces, by the title of the revision that is wrong and by id, where the
            classifier of that revision is available.
    """

    split: str
    revisions: Sequence[RevisionResults]
    comparisons: Mapping[str, Comparison]
    verdicts: Sequence[str]
    plots: Sequence[Plot]
    misclassified: Sequence[MisclassifiedTable]
    reviews: Mapping[str, LocalReview]
    explained: Mapping[str, Mapping[str, Sequence[Piece]]] = field(default_factory=dict)

    @property
    def different_params(self) -> list[str]:
        """Names of the params that are not the same in all shown revisions."""
        return changed_params([results.params for results in self.revisions])

    @property
    def behavior(self) -> dict[str, Mapping[str, Any]]:
        """A result for each kind of behavioral test that at least one shown revision has."""
        return {kind: result for results in reversed(self.revisions) for kind, result in results.behavior.items()}

    @property
    def metrics(self) -> list[Metric]:
        """The metrics that at least one shown revision has: another version of the code may know fewer, or more."""
        return [
            metric
            for metric in (*METRICS, *OPTIONAL_METRICS)
            if any(metric.name in results.metrics for results in self.revisions)
        ]


def collect(names: Sequence[str], split: str) -> ReportData:
    """Read what the report shows of revisions, whose names differ; the others are compared with the first.

    Args:
        names: of the revisions.
        split: "val" to choose by, or "test".

    Raises:
        InputError: a revision, or one of its files, is not available.
    """
    branch = workspace_title()
    title_of_workspace = f"{branch} (this folder)" if branch in names else branch
    revisions = {title_of_workspace if name == WORKSPACE else name: resolve(name) for name in names}
    predictions = {title: read_predictions(revision, split) for title, revision in revisions.items()}
    results = [_results(title, revision, split) for title, revision in revisions.items()]
    comparisons, verdicts = _compare_with_first(revisions, split)
    tables = misclassified_tables(predictions, list(comparisons))
    ids = {row.id for table in tables for row in table.rows}
    # in cross-validation, reviews that are scored as val are in the table of test
    reviews = {key: one for name in SCORED for key, one in local_reviews(SPLIT / f"{name}.parquet", ids).items()}
    return ReportData(
        split=split,
        revisions=results,
        comparisons=comparisons,
        verdicts=verdicts or [_verdict(results[0], split)],
        # DVC has no plots of baselines
        plots=plots({one.title: revisions[one.title] for one in results if one.head_epoch}, split),
        misclassified=tables,
        reviews=reviews,
        explained={
            title: explained_reviews(
                revision.name,
                {
                    row.id: reviews[row.id].text
                    for table in tables
                    if table.revision == title
                    for row in table.rows
                    if row.id in reviews
                },
            )
            for title, revision in revisions.items()
        },
    )


def _results(title: str, revision: Revision, split: str) -> RevisionResults:
    sizes = json.loads(revision.read(SPLIT_METRICS))
    metrics = json.loads(revision.read(ALL_METRICS))
    metrics = metrics.get(split, metrics)  # an older commit has those of test alone
    return RevisionResults(
        name=revision.name,
        title=title,
        metrics={name: value for name, value in metrics.items() if isinstance(value, int | float)},
        slices=_slices(revision.read_scored(SLICES, split).decode()),
        n_reviews={name: int(sizes[name]["rows"]) for name in SPLITS},
        head_epoch=_kept_epoch(revision, HEAD_METRICS),
        encoder_epoch=_kept_epoch(revision, ENCODER_METRICS),
        params=flat_params(read_yaml(revision.read(PARAMS), f"{PARAMS} of {revision.name}")),
        behavior=_behavior(revision),
        subject=commit_subject(revision.name),
    )


def _kept_epoch(revision: Revision, file: str) -> KeptEpoch | None:
    """Return the kept epoch by its file of metrics; None for a baseline, which has no such log."""
    try:
        return kept_epoch(json.loads(revision.read(file)))
    except InputError:
        return None


def _behavior(revision: Revision) -> Mapping[str, Mapping[str, Any]]:
    try:
        results: Mapping[str, Mapping[str, Any]] = json.loads(revision.read(BEHAVIOR))
    except InputError:
        return {}
    return results


def _slices(table: str) -> Slices:
    return {
        (row.pop("slice"), row.pop("value")): {
            name: float(text) for name, text in row.items() if name != "note" and text
        }
        for row in csv.DictReader(io.StringIO(table))
    }


def _compare_with_first(revisions: Mapping[str, Revision], split: str) -> tuple[dict[str, Comparison], list[str]]:
    """Return the comparisons by title, their p values corrected for their number, and a sentence on each revision."""
    (first, a), *others = revisions.items()
    comparisons, reasons = {}, {}
    for title, b in others:
        try:
            comparisons[title] = compare(a, b, split)
        except InputError as error:
            reasons[title] = f"Not compared: {error}."
    comparisons = correct_for_many(comparisons)
    verdicts = [
        sentence(first, title, comparisons[title], split) if title in comparisons else reasons[title]
        for title, _ in others
    ]
    return comparisons, verdicts


def _verdict(results: RevisionResults, split: str) -> str:
    """Return what one revision is worth, in words."""
    metrics, rows = results.metrics, results.metrics["rows"]
    bounds = [metrics.get(f"accuracy_{end}") for end in ("low", "high")]
    interval = "" if None in bounds else f" (95% interval {bounds[0]:.1%} to {bounds[1]:.1%})"
    verdict = (
        f"{results.title} labels {metrics['accuracy']:.1%} of {rows:,.0f} {split} review{'s' if rows != 1 else ''} "
        f"correctly{interval}."
    )
    if "majority_accuracy" in metrics:
        verdict += f" The majority label for all of them would be correct for {metrics['majority_accuracy']:.1%}."
    return verdict


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
