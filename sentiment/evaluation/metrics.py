"""Score the predictions of reviews: metrics with their 95% intervals, by slice too, and the file of every prediction.

    values = compute_metrics(labels, predicted, probabilities, bins=10, n_resamples=10_000, seed=0)
    values["recall_negative"], values["recall_negative_low"], values["recall_negative_high"]

No floats are summed in an order that matters. Tested against scikit-learn.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field

from sentiment.common.errors import ParamsError
from sentiment.common.files import atomic
from sentiment.common.params import StageParams
from sentiment.common.tables import LABELS
from sentiment.data.text import LENGTH, format_rating
from sentiment.evaluation.bootstrap import Labels, Probabilities, WeightedMetrics, percentile_interval, resample

# Student's t quantile of 0.975 for 1 to 19 degrees of freedom; scipy's differ in the last digit between processors
T_975 = (
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
    2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930,
)  # fmt: skip
SEEN = "reviews_seen_by_encoder"  # a metric of val and of test
Z_95 = 1.959963984540054  # the normal quantile of 0.975


@dataclass(frozen=True)
class Metric:
    """One metric; the report, the model card and the files of metrics take theirs from `METRICS`.

    Attributes:
        name: its key in files of metrics; `NAME_low` and `NAME_high` are its 95% interval.
        title: for readers.
        lower_is_better: its direction.
    """

    name: str
    title: str
    lower_is_better: bool = False

    @property
    def is_primary(self) -> bool:
        """Whether it is one of the few that short tables and the head of the report show."""
        return self.name in PRIMARY


METRICS = (
    Metric("accuracy", "accuracy"),
    Metric("f1_macro", "F1, macro"),
    Metric("roc_auc", "ROC AUC"),
    Metric("majority_accuracy", "accuracy of the majority label"),
    Metric("balanced_accuracy", "balanced accuracy"),
    Metric("precision", "precision, positive"),
    Metric("recall", "recall, positive"),
    Metric("f1", "F1, positive"),
    Metric("precision_negative", "precision, negative"),
    Metric("recall_negative", "recall, negative"),
    Metric("f1_negative", "F1, negative"),
    Metric("average_precision", "average precision"),
    Metric("log_loss", "log loss (nats)", lower_is_better=True),
    Metric("brier", "Brier score", lower_is_better=True),
    Metric("expected_calibration_error", "expected calibration error", lower_is_better=True),
)
# of a classifier that may answer "unsure", or whose probabilities are calibrated
OPTIONAL_METRICS = (
    Metric("coverage", "share of reviews with a sure label"),
    Metric("sure_precision", "precision, positive, where sure"),
    Metric("sure_precision_negative", "precision, negative, where sure"),
    Metric("uncalibrated_error", "expected calibration error before calibration", lower_is_better=True),
)
PRIMARY = ("accuracy", "f1_macro", "roc_auc")  # few, so that the tables of DVC and `sentiment compare` are short
PRIMARY_METRICS = (
    "rows", "majority_accuracy", *(name + suffix for name in PRIMARY for suffix in ("", "_low", "_high")), "log_loss"
)  # fmt: skip


def compute_metrics(
    labels: Labels,
    predicted: Labels,
    probabilities: Probabilities,
    bins: int,
    n_resamples: int,
    seed: int,
    folds: NDArray[np.int8] | None = None,
) -> dict[str, float]:
    """Return every metric with its 95% bounds (`_low`, `_high`), and the number of rows.

    A metric that is not defined, such as the precision of a label that is never predicted, is left out.

    Args:
        labels, predicted: 0 or 1, shape (n_samples,).
        probabilities: of label 1, shape (n_samples,).
        bins: of the expected calibration error.
        n_resamples, seed: of the bootstrap, from which the bounds are.
        folds: of each sample in cross-validation, shape (n_samples,); bounds are then those of `fold_intervals`.
    """
    metrics = WeightedMetrics(labels, predicted, probabilities, bins)
    values = point_metrics(metrics, len(labels))
    if folds is not None:
        bounds = fold_intervals(metrics, folds)
    else:
        draws = resample([metrics], len(labels), n_resamples, seed)
        bounds = {name: percentile_interval(draw[0]) for name, draw in draws.items()}
    defined: dict[str, float] = {"rows": len(labels)}
    for name, value in values.items():
        defined |= {name: value, f"{name}_low": bounds[name][0], f"{name}_high": bounds[name][1]}
    return {name: value for name, value in defined.items() if not math.isnan(value)}


def point_metrics(metrics: WeightedMetrics, rows: int) -> dict[str, float]:
    """Return each metric of the reviews as they are; those that are not defined are left out."""
    values = {name: float(value[0]) for name, value in metrics(np.ones((1, rows))).items()}
    return {name: value for name, value in values.items() if not math.isnan(value)}


def abstention_metrics(labels: Labels, predicted: Labels, is_sure: NDArray[np.bool_]) -> dict[str, float]:
    """Return coverage and the precision of each label that is sure, with Wilson's 95% bounds.

    A precision is left out where no review has that label.

    Args:
        labels, predicted: 0 or 1, shape (n_samples,).
        is_sure: whether the answer is a label and not "unsure", shape (n_samples,).
    """
    shares = {"coverage": is_sure}
    for name, label in (("sure_precision", 1), ("sure_precision_negative", 0)):
        shares[name] = (labels == label)[is_sure & (predicted == label)]
    metrics: dict[str, float] = {}
    for name, hits in shares.items():
        if len(hits):
            low, high = wilson_interval(int(np.count_nonzero(hits)), len(hits))
            share = int(np.count_nonzero(hits)) / len(hits)
            metrics |= {name: share, f"{name}_low": low, f"{name}_high": high}
    return metrics


def fold_intervals(metrics: WeightedMetrics, folds: NDArray[np.int8]) -> dict[str, tuple[float, float]]:
    """Return the 95% bounds of cross-validated metrics.

    Folds share most of their training reviews, so the variance of the mean of k folds is taken as (1/k + 1/(k-1)) times
    that between folds: Nadeau and Bengio, Inference for the Generalization Error, Machine Learning 52, 2003, with
    Student's t. The bounds lie around the metric of all reviews.

    Args:
        metrics: of probabilities by classifiers that were not trained on the sample's fold.
        folds: from 0, shape (n_samples,); both labels are in each.
    """
    n_folds = int(folds.max()) + 1
    parts = np.stack([np.ones(len(folds)), *(folds == fold for fold in range(n_folds))])  # (1 + n_folds, n_samples)
    bounds = {}
    for name, (overall, *by_fold) in ((name, values.tolist()) for name, values in metrics(parts).items()):
        mean = math.fsum(by_fold) / n_folds
        variance = math.fsum((value - mean) * (value - mean) for value in by_fold) / (n_folds - 1)
        half = T_975[n_folds - 2] * math.sqrt((1 / n_folds + 1 / (n_folds - 1)) * variance)
        highest = math.inf if name == "log_loss" else 1.0
        bounds[name] = max(0.0, overall - half), min(highest, overall + half)
    return bounds


SLICE_COLUMNS = (
    "slice", "value", "rows", *(name + suffix for name in PRIMARY for suffix in ("", "_low", "_high")), "note"
)  # fmt: skip
MIN_SLICE_ROWS = 30  # with fewer reviews, a slice says little
SLICE_RESAMPLES = 1_000  # at most, of the bootstrap of each slice


def metrics_by_slice(
    labels: Labels,
    predicted: Labels,
    probabilities: Probabilities,
    bins: int,
    n_resamples: int,
    seed: int,
    slices: Mapping[str, NDArray[np.object_]],
) -> Iterator[dict[str, object]]:
    """Yield every metric for every value of every slice, ordered by `natural_key`, with a note on few reviews.

    The interval of the accuracy is Wilson's, which holds for few reviews, too; others are those of `compute_metrics`.

    Args:
        slices: by name, the value of each row, shape (n_samples,).
    """
    resamples = min(n_resamples, SLICE_RESAMPLES)
    for name, row_values in slices.items():
        values, indices = np.unique(row_values, return_inverse=True)
        for index, value in sorted(enumerate(values.tolist()), key=lambda item: natural_key(item[1])):
            selected = indices == index
            part = labels[selected], predicted[selected], probabilities[selected]
            metrics = compute_metrics(*part, bins, resamples, seed)
            n_correct = round(metrics["accuracy"] * metrics["rows"])
            low, high = wilson_interval(n_correct, int(metrics["rows"]))
            note = f"fewer than {MIN_SLICE_ROWS} reviews" if metrics["rows"] < MIN_SLICE_ROWS else ""
            identity = {"slice": name, "value": value, "note": note}
            yield {**identity, **metrics, "accuracy_low": low, "accuracy_high": high}


def wilson_interval(n_correct: int, n_samples: int) -> tuple[float, float]:
    """Return the 95% interval of a share, for n_samples >= 1.

    Wilson, Probable Inference, the Law of Succession, and Statistical Inference, JASA 22, 1927.
    """
    squared = Z_95 * Z_95
    n_wrong = n_samples - n_correct
    spread = Z_95 * sqrt(squared + 4 * n_correct * n_wrong / n_samples)
    center, scale = 2 * n_correct + squared, 2 * (n_samples + squared)
    low = (center - spread) / scale if n_correct else 0.0
    high = (center + spread) / scale if n_wrong else 1.0
    return low, high


def calibration_error(labels: Labels, probabilities: Probabilities, bins: int) -> float:
    """Return the expected calibration error of probabilities of label 1, both of shape (n_samples,)."""
    metrics = WeightedMetrics(labels, labels, probabilities, bins)
    return point_metrics(metrics, len(labels))["expected_calibration_error"]


def slice_values(table: pa.Table, slices: Sequence[str], length_edges: Sequence[int]) -> dict[str, NDArray[Any]]:
    """Return the value of every row by slice, each of shape (n_samples,).

    Args:
        table: with column text, and a column for every slice but "length".
        slices: names of columns, or "length": the number of words.
        length_edges: upper bounds of the bins of "length".

    Raises:
        ParamsError: the table has no such column.
    """
    check_slices_of(table, slices)
    values = {}
    for name in slices:
        if name == LENGTH:
            words = np.array([len(text.split()) for text in table["text"].to_pylist()])
            values[name] = _length_bins(words, length_edges)
        else:
            values[name] = np.array([_slice_name(value) for value in table[name].to_pylist()], dtype=object)
    return values


def check_slices_of(table: pa.Table, slices: Sequence[str]) -> None:
    """Raise ParamsError where a table has no column for some slices."""
    if missing := [repr(name) for name in slices if name not in (*table.column_names, LENGTH)]:
        available = [column for column in table.column_names if column not in ("id", "text", "label")]
        raise ParamsError(
            f"evaluate.slices: no column {', '.join(missing)}; expected {', '.join([LENGTH, *available])}"
        )


def _slice_name(value: object) -> str:
    """Return the name of a value; a rating of 0 is a value, an empty or missing text is none."""
    if value is None or value == "":
        return "(none)"
    return format_rating(value) if isinstance(value, float) else str(value)


def _length_bins(words: NDArray[np.int64], edges: Sequence[int]) -> NDArray[np.str_]:
    """Return the bin name of each length, such as "1-20 words"."""
    bounds = [0, *sorted(edges)]
    names = [f"{low + 1}-{high} words" for low, high in pairwise(bounds)]
    names.append(f"over {bounds[-1]} words")
    return np.array(names)[np.searchsorted(bounds[1:], words, side="left")]


def natural_key(name: str) -> tuple[Fraction | float, list[tuple[int, str]]]:
    """Return a sort key: numbers first, by value; then names, by the whole numbers in them.

    >>> sorted(["over 100 words", "4.5", "21-40 words", "1-20 words", "10", "4.25", "-3"], key=natural_key)
    ['-3', '4.25', '4.5', '10', '1-20 words', '21-40 words', 'over 100 words']
    """
    number = Fraction(name) if re.fullmatch(r"-?[0-9]{1,99}(\.[0-9]{1,99})?", name) else math.inf
    parts = re.split(r"([0-9]+)", name)  # numbers are at odd positions, so that like is compared with like
    digits = [part.lstrip("0") if index % 2 else part for index, part in enumerate(parts)]
    return number, [(len(part) if index % 2 else 0, part) for index, part in enumerate(digits)]


@dataclass(frozen=True)
class Predictions:
    """What a classifier says of reviews.

    Attributes:
        probabilities: of label 1, shape (n_samples,).
        labels: 0 or 1, shape (n_samples,).
        is_sure: whether the answer is the label and not "unsure", shape (n_samples,); None where it always is.
    """

    probabilities: NDArray[np.float32]
    labels: NDArray[np.int8]
    is_sure: NDArray[np.bool_] | None = None


def write_predictions(path: Path, table: pa.Table, predictions: Predictions) -> None:
    """Write id, label, probability and predicted label of every review; the metadata names the labels.

    Args:
        table: with columns id and label, one row per review.
    """
    columns = {"id": table["id"], "label": table["label"], "probability": predictions.probabilities}
    columns["predicted"] = predictions.labels
    if predictions.is_sure is not None:
        columns["sure"] = predictions.is_sure
    with atomic(path) as partial:
        pq.write_table(pa.table(columns, metadata={"labels": "\n".join(LABELS)}), partial, compression="zstd")


class ScoringParams(StageParams):
    """What decides the scores, of section `evaluate` of params.yaml.

    Attributes:
        slices: columns of the table, or "length".
        length_edges: upper bounds of the bins of "length", in words.
        n_resamples, seed: of the bootstrap.
    """

    slices: tuple[str, ...]
    length_edges: tuple[int, ...]
    calibration_bins: int = Field(ge=1, le=1000)
    n_resamples: int = Field(ge=100)
    seed: int = Field(ge=0)


@dataclass(frozen=True)
class Scores:
    """What the predictions of a table are worth.

    Attributes:
        metrics: by name, as `compute_metrics` returns them.
        slices: a row per value of a slice, as `metrics_by_slice` yields them.
    """

    metrics: dict[str, float]
    slices: list[dict[str, object]]


def score(
    table: pa.Table,
    predictions: Predictions,
    params: ScoringParams,
    folds: NDArray[np.int8] | None = None,
) -> Scores:
    """Score the predictions of a table.

    Args:
        table: with columns label, text and the slices, one row per review.
        folds: of each review in cross-validation, shape (n_samples,); they decide the intervals.
    """
    parts = table["label"].to_numpy(), predictions.labels, predictions.probabilities
    settings = params.calibration_bins, params.n_resamples, params.seed
    slices = slice_values(table, params.slices, params.length_edges)
    metrics = compute_metrics(*parts, *settings, folds)
    if predictions.is_sure is not None:
        metrics |= abstention_metrics(*parts[:2], predictions.is_sure)
    return Scores(metrics, list(metrics_by_slice(*parts, *settings, slices)))
