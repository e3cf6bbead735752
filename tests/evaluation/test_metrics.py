"""Metrics and intervals against scikit-learn and cases worked out by hand."""

from functools import partial

import numpy as np
import pyarrow as pa
import pytest
import scipy.stats
from sklearn import metrics

from sentiment.evaluation.bootstrap import WeightedMetrics, percentile_interval, resample
from sentiment.evaluation.curves import calibration_curve
from sentiment.evaluation.metrics import (
    METRICS,
    T_975,
    compute_metrics,
    fold_intervals,
    metrics_by_slice,
    point_metrics,
    slice_values,
    wilson_interval,
)

RNG = np.random.default_rng(0)
LABELS = (RNG.random(500) < 0.7).astype(np.int8)
PROBABILITIES = np.clip(RNG.normal(0.35 + 0.3 * LABELS, 0.2), 0, 1).round(2).astype(np.float32)  # rounded, so with ties
PREDICTED = (PROBABILITIES >= 0.5).astype(np.int8)
METRICS_OF = WeightedMetrics(LABELS, PREDICTED, PROBABILITIES, bins=10)


def test_resampled_metrics_are_those_of_sklearn_on_the_resampled_rows() -> None:
    indices = RNG.integers(0, 500, (20, 500))
    counts = np.stack([np.bincount(row, minlength=500) for row in indices]).astype(np.float32)
    values = METRICS_OF(counts)
    as_float64 = PROBABILITIES.astype(np.float64)
    for draw, rows in enumerate(indices):
        labels, predicted = LABELS[rows], PREDICTED[rows]
        expected = {
            "accuracy": metrics.accuracy_score(labels, predicted),
            "f1_macro": metrics.f1_score(labels, predicted, average="macro"),
            "roc_auc": metrics.roc_auc_score(labels, PROBABILITIES[rows]),
            "precision_negative": metrics.precision_score(labels, predicted, pos_label=0),
            "average_precision": metrics.average_precision_score(labels, PROBABILITIES[rows]),
            "log_loss": metrics.log_loss(labels, as_float64[rows]),
            "brier": metrics.brier_score_loss(labels, as_float64[rows]),
            "expected_calibration_error": calibration_error(labels, PROBABILITIES[rows]),
        }
        assert {name: values[name][draw] for name in expected} == pytest.approx(expected, abs=1e-12)


def calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean gap over ten bins, weighted by rows."""
    bins = calibration_curve(labels, probabilities, 10)
    return sum(abs(one["predicted"] - one["observed"]) * one["rows"] for one in bins) / len(labels)


def test_sums_of_losses_do_not_depend_on_the_order_of_reviews() -> None:
    order = RNG.permutation(500)
    weights = RNG.integers(0, 2, (5, 500)).astype(np.float32)
    shuffled = WeightedMetrics(LABELS[order], PREDICTED[order], PROBABILITIES[order], 10)(weights[:, order])
    for name, values in METRICS_OF(weights).items():
        assert np.array_equal(values, shuffled[name]), name


def test_a_resample_of_one_class_has_only_metrics_that_need_one() -> None:
    one = WeightedMetrics(
        np.array([1, 0], np.int8), np.array([1, 1], np.int8), np.array([0.7, 0.6], np.float32), bins=10
    )
    defined = {name for name, value in one(np.array([[2, 0]], np.float32)).items() if not np.isnan(value[0])}
    assert defined == {
        "accuracy", "majority_accuracy", "precision", "recall", "f1", "average_precision", "log_loss", "brier",
        "expected_calibration_error",
    }  # fmt: skip


def test_bootstrap_of_accuracy_matches_the_binomial() -> None:
    draws = resample([METRICS_OF], 500, 10_000, seed=0)
    assert set(draws) == {metric.name for metric in METRICS}
    share = (LABELS == PREDICTED).mean()
    assert draws["accuracy"].shape == (1, 10_000)
    assert draws["accuracy"].mean() == pytest.approx(share, abs=0.001)
    assert draws["accuracy"].std() == pytest.approx(np.sqrt(share * (1 - share) / 500), rel=0.03)
    low, high = percentile_interval(draws["accuracy"][0])
    assert (low, high) == pytest.approx((share - 1.96 * 0.0187, share + 1.96 * 0.0187), abs=0.006)


def test_two_classifiers_are_resampled_together() -> None:
    for values in resample([METRICS_OF, METRICS_OF], 500, 100, seed=1).values():
        assert np.array_equal(values[0], values[1])


def test_every_metric_is_there_with_bounds_around_it() -> None:
    values = compute_metrics(LABELS, PREDICTED, PROBABILITIES, bins=10, n_resamples=500, seed=0)
    assert values["rows"] == 500
    assert values["majority_accuracy"] == pytest.approx(max(LABELS.mean(), 1 - LABELS.mean()))
    assert values["brier"] == pytest.approx(np.mean((PROBABILITIES.astype(float) - LABELS) ** 2))
    for metric in METRICS:
        assert values[f"{metric.name}_low"] < values[metric.name] < values[f"{metric.name}_high"]
    assert values == compute_metrics(LABELS, PREDICTED, PROBABILITIES, bins=10, n_resamples=500, seed=0)


@pytest.mark.slow
def test_the_intervals_contain_the_truth_in_95_of_100_test_sets() -> None:
    """Not that of the calibration error: absolute values of gaps that are noise push it up, in each resample again."""
    rng = np.random.default_rng(5)

    def draw(rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        probabilities = (1 / (1 + np.exp(-rng.normal(2.6, 3.2, rows)))).astype(np.float32)
        labels = (rng.random(rows) < probabilities).astype(np.int8)
        return labels, (probabilities >= 0.5).astype(np.int8), probabilities

    truth = point_metrics(WeightedMetrics(*draw(2_000_000), bins=10), 2_000_000)
    hits = dict.fromkeys(truth, 0)
    for number in range(1_000):
        one = WeightedMetrics(*draw(1_500), bins=10)
        for name, values in resample([one], 1_500, 500, seed=number).items():
            low, high = percentile_interval(values[0])
            hits[name] += low <= truth[name] <= high
    excepted = hits.pop("expected_calibration_error")
    assert excepted < 930
    assert {name: n for name, n in hits.items() if not 930 <= n <= 970} == {}


def test_calibration_by_hand() -> None:
    labels = np.array([0, 1, 1, 1], np.int8)
    probabilities = np.array([0.1, 0.3, 0.9, 1.0], np.float32)
    assert [row["rows"] for row in calibration_curve(labels, probabilities, 2)] == [2, 2]
    # bins: predicted 0.2 against 0.5, predicted 0.95 against 1
    values = point_metrics(WeightedMetrics(labels, labels, probabilities, bins=2), 4)
    assert values["expected_calibration_error"] == pytest.approx((2 * 0.3 + 2 * 0.05) / 4)


def test_values_of_a_slice_are_in_the_order_of_their_numbers() -> None:
    names = ["10", "9", "4.5", "-3", "4.25", "over 100 words", "21-40 words", "1-20 words", "", "Tops", "1" * 5_000]
    labels = np.ones(len(names), np.int8)
    slices = {"length": np.array(names, dtype=object)}
    rows = metrics_by_slice(labels, labels, labels.astype(np.float32), 10, 100, 0, slices)
    expected = [
        "-3", "4.25", "4.5", "9", "10", "", "1-20 words", "21-40 words", "1" * 5_000, "Tops", "over 100 words",
    ]  # fmt: skip
    assert [row["value"] for row in rows] == expected


def test_a_long_value_of_a_slice_takes_its_memory_once() -> None:
    table = pa.table({"text": ["Soft"] * 1_000, "part": ["x" * 100_000, *["Tops"] * 999]})
    values = slice_values(table, ["part"], [])["part"]
    assert values.nbytes < 100_000
    labels = np.arange(1_000).astype(np.int8) % 2
    rows = metrics_by_slice(labels, labels, labels.astype(np.float32), 10, 100, 0, {"part": values})
    assert [row["rows"] for row in rows] == [999, 1]


def test_slices_with_every_metric_and_its_interval() -> None:
    sizes = np.where(np.arange(500) < 480, "large", "small").astype(object)
    large, small = metrics_by_slice(LABELS, PREDICTED, PROBABILITIES, 10, 500, 0, {"size": sizes})
    assert (large["slice"], large["value"], large["rows"], large["note"]) == ("size", "large", 480, "")
    assert (small["value"], small["rows"], small["note"]) == ("small", 20, "fewer than 30 reviews")
    expected = compute_metrics(LABELS[:480], PREDICTED[:480], PROBABILITIES[:480], 10, 500, 0)
    assert {name: large[name] for name in expected if "accuracy_" not in name} == {
        name: value for name, value in expected.items() if "accuracy_" not in name
    }
    assert (large["accuracy_low"], large["accuracy_high"]) == wilson_interval(
        (LABELS[:480] == PREDICTED[:480]).sum(), 480
    )


def test_a_slice_of_one_label_has_no_auc() -> None:
    ones = np.ones(3, np.int8)
    [row] = metrics_by_slice(ones, ones, ones.astype(np.float32), 10, 100, 0, {"s": np.array(["a"] * 3, dtype=object)})
    assert "roc_auc" not in row
    assert row["accuracy"] == row["recall"] == 1


def test_intervals_of_folds_are_those_of_the_corrected_t_test() -> None:
    folds = np.arange(500).astype(np.int8) % 5
    bounds = fold_intervals(METRICS_OF, folds)
    for name, metric, values in (
        ("accuracy", metrics.accuracy_score, PREDICTED),
        ("f1_macro", partial(metrics.f1_score, average="macro"), PREDICTED),
        ("roc_auc", metrics.roc_auc_score, PROBABILITIES),
    ):
        by_fold = [metric(LABELS[folds == fold], values[folds == fold]) for fold in range(5)]
        half = scipy.stats.t.ppf(0.975, 4) * np.sqrt((1 / 5 + 1 / 4) * np.var(by_fold, ddof=1))
        overall = metric(LABELS, values)
        expected = [overall - half, overall + half]
        assert bounds[name] == pytest.approx(expected, abs=1e-5)


def test_quantiles_of_student_are_those_of_scipy() -> None:
    assert scipy.stats.t.ppf(0.975, range(1, 20)) == pytest.approx(T_975, abs=5e-5)
