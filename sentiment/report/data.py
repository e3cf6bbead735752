"""Collect what the report shows of revisions: metrics, comparisons, params, charts, misclassified reviews.

In each of these reviews the words that count most are marked.
"""

import csv
import io
import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sentiment.common.errors import ClassifierError, InputError
from sentiment.common.params import read_yaml
from sentiment.common.tables import LABELS, SCORED, SPLITS, TEST, VAL, batches
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
from sentiment.inference.classifier import SentimentClassifier
from sentiment.inference.explanation import Explanation

Slices = Mapping[tuple[str, str], Mapping[str, float]]
Params = Mapping[str, Any]

LEVELS = (0.15, 0.4, 0.7)  # shares of the largest contribution from which a word gets the next stronger style
MAX_REVIEWS = 10  # of a table

log = logging.getLogger(__name__)


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
class Misclassified:
    """One review that was labeled wrongly.

    Attributes:
        confidence: probability of the predicted label.
    """

    id: str
    actual: str
    predicted: str
    confidence: float


@dataclass(frozen=True)
class MisclassifiedTable:
    """Reviews that one revision labels wrongly.

    Attributes:
        revision: the title of the revision that is wrong.
    """

    title: str
    revision: str
    rows: list[Misclassified]


@dataclass(frozen=True)
class LocalReview:
    """Text and rating of a review, from the workspace."""

    text: str
    rating: str


@dataclass(frozen=True)
class Piece:
    """A word of a review, or the text between two words.

    Attributes:
        text: as in the review.
        level: 0 for a word that counts little, and for what is no word; else 1 to 3.
        contribution: to the logit of "positive"; 0 for what is no word.
    """

    text: str
    level: int = 0
    contribution: float = 0.0


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
        head_epoch=kept_epoch(found) if (found := _read_json(revision, HEAD_METRICS)) else None,
        encoder_epoch=kept_epoch(found) if (found := _read_json(revision, ENCODER_METRICS)) else None,
        params=flat_params(read_yaml(revision.read(PARAMS), f"{PARAMS} of {revision.name}")),
        behavior=_read_json(revision, BEHAVIOR) or {},
        subject=commit_subject(revision.name),
    )


def _read_json(revision: Revision, file: str) -> Any:
    """Return what a file of a revision holds; None where it has no such file, as a baseline has no log of epochs."""
    try:
        return json.loads(revision.read(file))
    except InputError:
        return None


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


def misclassified_tables(predictions: Mapping[str, pa.Table], compared: Collection[str]) -> list[MisclassifiedTable]:
    """Return what changed between the first revision and those compared with it; else the errors of each revision.

    Args:
        predictions: by the title of the revision, sorted by id.
        compared: titles of the revisions that are compared with the first one.
    """
    if not compared:
        return [_table(f"Most confident errors of {name}", name, table, None) for name, table in predictions.items()]
    first, table_a = next(iter(predictions.items()))
    return [
        table
        for name in compared
        for table in (
            _table(f"Wrong in {name}, correct in {first}", name, predictions[name], table_a),
            _table(f"Wrong in {first}, correct in {name}", first, table_a, predictions[name]),
        )
    ]


def _table(title: str, name: str, wrong: pa.Table, correct: pa.Table | None) -> MisclassifiedTable:
    """Return at most `MAX_REVIEWS` wrong predictions, the most confident first.

    Args:
        title: of the table.
        name: title of the revision that is wrong.
        wrong: its predictions.
        correct: predictions of the same reviews, which have to be right; None for no such condition.
    """
    predicted, actual = wrong["predicted"].to_numpy(), wrong["label"].to_numpy()
    is_listed: NDArray[np.bool_] = predicted != actual
    if correct is not None:
        is_listed &= correct["predicted"].to_numpy() == correct["label"].to_numpy()
    positive = wrong["probability"].to_numpy().astype(np.float64)
    confidence = np.where(predicted == 1, positive, 1 - positive)
    indices = np.flatnonzero(is_listed)
    order = indices[np.argsort(-confidence[indices], kind="stable")][:MAX_REVIEWS]
    rows = [
        Misclassified(wrong["id"][row].as_py(), LABELS[actual[row]], LABELS[predicted[row]], float(confidence[row]))
        for row in order.tolist()
    ]
    return MisclassifiedTable(title, name, rows)


def local_reviews(table: Path, ids: Collection[str]) -> dict[str, LocalReview]:
    """Return reviews by id from a table of the workspace; none where the table is missing, as in a bare clone."""
    if not table.is_file():
        return {}
    requested = pa.array(ids, pa.string())
    rows = [batch.filter(pc.is_in(batch["id"], requested)) for batch in batches(table, ["id", "text", "rating"])]
    return {
        row["id"]: LocalReview(row["text"], f"{row['rating']:g}" if row["rating"] is not None else "")
        for batch in rows
        for row in batch.to_pylist()
    }


def explained_reviews(revision: str, texts: Mapping[str, str]) -> dict[str, list[Piece]]:
    """Return the pieces of each text, by the same key; empty where the revision's classifier is not available."""
    if not texts:
        return {}
    try:
        classifier = SentimentClassifier.load_revision(revision)
    except (ClassifierError, InputError) as error:
        log.info("report: words of %s are not colored: %s", revision, error)
        return {}
    explanations = classifier.explain(list(texts.values()))
    return {
        key: list(pieces(text, explanation))
        for (key, text), explanation in zip(texts.items(), explanations, strict=True)
        if explanation is not None
    }


def pieces(text: str, explanation: Explanation) -> Iterator[Piece]:
    """Yield the text in pieces, every character of it once."""
    largest = max((abs(word.contribution) for word in explanation.words), default=0.0)
    end = 0
    for word in explanation.words:
        if word.start > end:
            yield Piece(text[end : word.start])
        share = abs(word.contribution) / largest if largest else 0.0
        yield Piece(text[word.start : word.end], sum(share >= level for level in LEVELS), word.contribution)
        end = word.end
    if end < len(text):
        yield Piece(text[end:])
