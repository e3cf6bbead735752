"""Collects what the report shows of one or two revisions or baselines: ReportData."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from sentiment.common.errors import InputError
from sentiment.evaluation.significance import Comparison
from sentiment.report.charts import probability_histogram, threshold_curve
from sentiment.report.experiments import Experiment, changed_params, experiments
from sentiment.report.kept_epoch import ENCODER_LOG, HEAD_LOG, KeptEpoch, kept_epoch
from sentiment.report.misclassified import (
    LocalReview,
    Misclassified,
    confident_errors,
    label_names,
    local_reviews,
    newly_wrong,
)
from sentiment.report.plots import Plot, plots
from sentiment.tracking.comparison import PREDICTIONS, compare, read_predictions, sentence
from sentiment.tracking.resolve import resolve
from sentiment.tracking.revisions import Revision

ALL_METRICS_FILE = "data/evaluate/metrics.json"
SLICES_FILE, SPLIT_FILE = "metrics/slices.csv", "metrics/split.json"
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
    """

    name: str
    metrics: Mapping[str, float]
    slices: Slices
    n_reviews: Mapping[str, int]
    head_epoch: KeptEpoch | None
    encoder_epoch: KeptEpoch | None
    params: Params


@dataclass(frozen=True)
class ReportData:
    """What the page shows.

    Attributes:
        comparison: None for one revision, or for two that cannot be compared.
        changed: names of the params that differ between the experiments.
        misclassified: tables of reviews by title.
    """

    revisions: Sequence[RevisionResults]
    comparison: Comparison | None
    verdict: str
    experiments: Sequence[Experiment]
    changed: Sequence[str]
    plots: Sequence[Plot]
    misclassified: Mapping[str, Sequence[Misclassified]]
    reviews: Mapping[str, LocalReview]

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
    misclassified = _misclassified(predictions, paired=comparison is not None)
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
        misclassified=misclassified,
        reviews=local_reviews(TEST_TABLE, {row.id for table in misclassified.values() for row in table}),
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


def _misclassified(predictions: Mapping[str, pa.Table], paired: bool) -> dict[str, list[Misclassified]]:
    labels = {name: label_names(table, f"{PREDICTIONS} of {name}") for name, table in predictions.items()}
    if not paired:
        return {
            f"Most confident errors of {name}": confident_errors(table, labels[name], MAX_REVIEWS)
            for name, table in predictions.items()
        }
    (a, table_a), (b, table_b) = predictions.items()
    return {
        f"Wrong in {b}, correct in {a}": newly_wrong(table_a, table_b, labels[b], MAX_REVIEWS),
        f"Wrong in {a}, correct in {b}": newly_wrong(table_b, table_a, labels[a], MAX_REVIEWS),
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
