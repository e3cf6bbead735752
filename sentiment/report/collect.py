"""Collects what the report shows of one or two revisions or baselines: ReportData."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sentiment.common.errors import InputError
from sentiment.evaluation.significance import Comparison
from sentiment.report.charts import probability_histogram, threshold_curve
from sentiment.report.experiments import Experiment, changed_params, experiments
from sentiment.report.explained import Piece, explained_reviews
from sentiment.report.kept_epoch import ENCODER_LOG, HEAD_LOG, KeptEpoch, kept_epoch
from sentiment.report.misclassified import (
    LocalReview,
    Misclassified,
    label_names,
    local_reviews,
    misclassified_tables,
)
from sentiment.report.plots import SLICES_FILE, Plot, plots
from sentiment.tracking.comparison import PREDICTIONS, compare, read_predictions, sentence
from sentiment.tracking.resolve import resolve
from sentiment.tracking.revisions import Revision
from sentiment.tracking.subject import commit_subject

ALL_METRICS_FILE = "data/evaluate/metrics.json"
SPLIT_FILE = "metrics/split.json"
PARAMS_FILE = "params.yaml"
TEST_TABLE = Path("data/split/test.parquet")
MAX_REVIEWS = 10  # per table of misclassified reviews
N_RESAMPLES, SEED = 10_000, 0  # of the paired bootstrap; the defaults of `sentiment compare`

Slices = Mapping[tuple[str, str], Mapping[str, float]]
Params = Mapping[str, Any]


@dataclass(frozen=True)
class RevisionResults:
    """One revision.

    Attributes:
        metrics: of the test reviews, with their intervals.
        slices: rows, accuracy and interval by (slice, value).
        n_reviews: by split.
        head_epoch: of the head, the epoch that is kept; None for a baseline, which has no epochs.
        encoder_epoch: of fine-tuning the encoder; None where it is frozen.
        params: every value by its full name (`train.epochs`).
        subject: of the commit; empty for what is no commit.
    """

    name: str
    metrics: Mapping[str, float]
    slices: Slices
    n_reviews: Mapping[str, int]
    head_epoch: KeptEpoch | None
    encoder_epoch: KeptEpoch | None
    params: Params
    subject: str = ""


@dataclass(frozen=True)
class ReportData:
    """What the page shows.

    Attributes:
        comparison: None for one revision, or for two that cannot be compared.
        changed: names of the params that differ between the experiments.
        misclassified: tables of reviews by title.
        explained: texts of those reviews in pieces, by title and id, where the classifier of the table is available.
    """

    revisions: Sequence[RevisionResults]
    comparison: Comparison | None
    verdict: str
    experiments: Sequence[Experiment]
    changed: Sequence[str]
    plots: Sequence[Plot]
    misclassified: Mapping[str, Sequence[Misclassified]]
    reviews: Mapping[str, LocalReview]
    explained: Mapping[str, Mapping[str, Sequence[Piece]]] = field(default_factory=dict)

    @property
    def different_params(self) -> list[str]:
        """Names of the params that are not the same in all shown revisions."""
        names = dict.fromkeys(name for results in self.revisions for name in results.params)
        return [name for name in names if len({repr(results.params.get(name)) for results in self.revisions}) > 1]


def collect(names: Sequence[str]) -> ReportData:
    """Read what the report shows of one or two revisions.

    Raises:
        InputError: a revision, or one of its files, is not available.
    """
    revisions = [resolve(name) for name in names]
    results = [_results(revision) for revision in revisions]
    predictions = {revision.name: read_predictions(revision, PREDICTIONS) for revision in revisions}
    comparison, verdict = _comparison(revisions)
    rows = experiments()
    misclassified = misclassified_tables(predictions, MAX_REVIEWS, paired=comparison is not None)
    reviews = local_reviews(TEST_TABLE, {row.id for _, table in misclassified.values() for row in table})
    labels = label_names(predictions[names[0]], f"{PREDICTIONS} of {names[0]}")
    thresholds = {one.name: float(one.params["train.threshold"]) for one in results if "train.threshold" in one.params}
    kept_epochs = {
        HEAD_LOG: {one.name: one.head_epoch.number for one in results if one.head_epoch},
        ENCODER_LOG: {one.name: one.encoder_epoch.number for one in results if one.encoder_epoch},
    }
    return ReportData(
        revisions=results,
        comparison=comparison,
        verdict=verdict,
        experiments=rows,
        changed=changed_params(rows),
        plots=[
            *plots(list(kept_epochs[HEAD_LOG]), kept_epochs),
            probability_histogram(predictions, labels),
            threshold_curve(predictions, thresholds),
        ],
        misclassified={title: table for title, (_, table) in misclassified.items()},
        reviews=reviews,
        explained={
            title: explained_reviews(name, {row.id: reviews[row.id].text for row in table if row.id in reviews})
            for title, (name, table) in misclassified.items()
        },
    )


def _results(revision: Revision) -> RevisionResults:
    split = json.loads(revision.read(SPLIT_FILE))
    metrics = json.loads(revision.read(ALL_METRICS_FILE))
    return RevisionResults(
        name=revision.name,
        metrics={name: value for name, value in metrics.items() if name != "by_label"},
        slices=_slices(revision.read(SLICES_FILE).decode()),
        n_reviews={name: int(values["rows"]) for name, values in split.items()},
        head_epoch=kept_epoch(revision, HEAD_LOG),
        encoder_epoch=kept_epoch(revision, ENCODER_LOG),
        params=flat_params(yaml.safe_load(revision.read(PARAMS_FILE))),
        subject=commit_subject(revision.name),
    )


def flat_params(sections: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of params.yaml by full name (`train.epochs`)."""
    return {f"{section}.{key}": value for section, keys in sections.items() for key, value in (keys or {}).items()}


def _slices(table: str) -> Slices:
    columns = ("rows", "accuracy", "accuracy_low", "accuracy_high")
    return {
        (row["slice"], row["value"]): {name: float(row[name]) for name in columns}
        for row in csv.DictReader(io.StringIO(table))
    }


def _comparison(revisions: Sequence[Revision]) -> tuple[Comparison | None, str]:
    """Return the comparison and its sentence, or None and the reason why two revisions cannot be compared."""
    if len(revisions) == 1:
        return None, ""
    a, b = revisions
    try:
        comparison = compare(a, b, PREDICTIONS, N_RESAMPLES, SEED)
    except InputError as error:
        return None, f"Not compared: {error}."
    return comparison, sentence(a.name, b.name, comparison)
