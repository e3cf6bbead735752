"""Metrics and intervals against scikit-learn and cases worked out by hand."""

from functools import partial

import numpy as np
import pytest
import scipy.stats
from sklearn import metrics

from sentiment.evaluation.bootstrap import RESAMPLED, accuracy_and_f1, percentile_interval, resample, roc_auc
from sentiment.evaluation.metrics import (
    MAX_POINTS,
    T_975,
    accuracy_by_slice,
    calibration_curve,
    compute_metrics,
    confusion_counts,
    confusion_points,
    expected_calibration_error,
    fold_intervals,
    precision_recall_points,
    rank_counts,
    roc_points,
    thinned_points,
)

RNG = np.random.default_rng(0)
LABELS = (RNG.random(500) < 0.7).astype(np.int8)
PROBABILITIES = np.clip(RNG.normal(0.35 + 0.3 * LABELS, 0.2), 0, 1).round(2).astype(np.float32)  # rounded, so with ties
PREDICTED = (PROBABILITIES >= 0.5).astype(np.int8)


def test_resampled_metrics_are_those_of_sklearn_on_the_resampled_rows() -> None:
    indices = RNG.integers(0, 500, (20, 500))
    counts = np.stack([np.bincount(row, minlength=500) for row in indices]).astype(np.float32)
    accuracy, f1_macro = accuracy_and_f1(counts, LABELS, PREDICTED)
    area = roc_auc(LABELS, PROBABILITIES, counts)
    for draw, rows in enumerate(indices):
        assert accuracy[draw] == pytest.approx(metrics.accuracy_score(LABELS[rows], PREDICTED[rows]))
        assert f1_macro[draw] == pytest.approx(metrics.f1_score(LABELS[rows], PREDICTED[rows], average="macro"))
        assert area[draw] == pytest.approx(metrics.roc_auc_score(LABELS[rows], PROBABILITIES[rows]), abs=1e-6)


def test_a_resample_of_one_class_has_no_roc_auc() -> None:
    weights = np.array([[3, 0]], np.float32)
    assert np.isnan(roc_auc(np.array([1, 0], np.int8), np.array([0.2, 0.1], np.float32), weights))


def test_bootstrap_of_accuracy_matches_the_binomial() -> None:
    draws = resample(LABELS, PREDICTED[None], PROBABILITIES[None], 10_000, seed=0)
    assert set(draws) == set(RESAMPLED)
    share = (LABELS == PREDICTED).mean()
    assert draws["accuracy"].shape == (1, 10_000)
    assert draws["accuracy"].mean() == pytest.approx(share, abs=0.001)
    assert draws["accuracy"].std() == pytest.approx(np.sqrt(share * (1 - share) / 500), rel=0.03)
    low, high = percentile_interval(draws["accuracy"][0])
    assert (low, high) == pytest.approx((share - 1.96 * 0.0187, share + 1.96 * 0.0187), abs=0.006)


def test_two_classifiers_are_resampled_together() -> None:
    draws = resample(LABELS, np.stack([PREDICTED, PREDICTED]), np.stack([PROBABILITIES, PROBABILITIES]), 100, seed=1)
    for values in draws.values():
        assert np.array_equal(values[0], values[1])


def test_every_metric_is_there_with_bounds_around_it() -> None:
    values = compute_metrics(LABELS, PROBABILITIES, 0.5, bins=10, n_resamples=500, seed=0)
    assert values["rows"] == 500
    assert values["majority_accuracy"] == pytest.approx(max(LABELS.mean(), 1 - LABELS.mean()))
    assert values["brier"] == pytest.approx(np.mean((PROBABILITIES.astype(float) - LABELS) ** 2))
    for name in RESAMPLED:
        assert values[f"{name}_low"] < values[name] < values[f"{name}_high"]
    assert values == compute_metrics(LABELS, PROBABILITIES, 0.5, bins=10, n_resamples=500, seed=0)


def test_calibration_by_hand() -> None:
    labels = np.array([0, 1, 1, 1], np.int8)
    probabilities = np.array([0.1, 0.3, 0.9, 1.0], np.float32)
    assert [row["rows"] for row in calibration_curve(labels, probabilities, 2)] == [2, 2]
    # bins: predicted 0.2 against 0.5, predicted 0.95 against 1
    assert expected_calibration_error(labels, probabilities, 2) == pytest.approx((2 * 0.3 + 2 * 0.05) / 4)


def test_values_of_a_slice_are_in_the_order_of_their_numbers() -> None:
    names = ["10", "9", "4.5", "-3", "4.25", "over 100 words", "21-40 words", "1-20 words", "", "Tops", "1" * 5_000]
    rows = accuracy_by_slice(np.ones(len(names), dtype=bool), {"length": np.array(names, dtype=object)})
    expected = [
        "-3", "4.25", "4.5", "9", "10", "", "1-20 words", "21-40 words", "1" * 5_000, "Tops", "over 100 words",
    ]  # fmt: skip
    assert [row["value"] for row in rows] == expected


def test_slices_with_their_intervals() -> None:
    correct = np.array([True, True, False, True])
    rows = list(accuracy_by_slice(correct, {"size": np.array(["s", "s", "m", "m"], dtype=object)}))
    assert [(row["slice"], row["value"], row["rows"], row["accuracy"]) for row in rows] == [
        ("size", "m", 2, 0.5),
        ("size", "s", 2, 1.0),
    ]
    # Wilson, 2 of 2: n / (n + z**2)
    assert rows[1]["accuracy_low"] == pytest.approx(2 / (2 + 1.959964**2))


def test_curves_are_thinned_and_keep_their_ends() -> None:
    probabilities = RNG.random(5000).astype(np.float32)
    labels = (RNG.random(5000) < probabilities).astype(np.int8)
    for curve in (roc_points, precision_recall_points):
        x, y = curve(rank_counts(labels, probabilities))
        points = thinned_points(x=x, y=y)
        assert len(points) == MAX_POINTS < len(x)
        assert (points[0], points[-1]) == ({"x": x[0], "y": y[0]}, {"x": x[-1], "y": y[-1]})


def test_confusion_matrix_by_hand() -> None:
    cells = confusion_points(confusion_counts(np.array([0, 0, 1, 1, 1], np.int8), np.array([0, 1, 1, 1, 0], np.int8)))
    assert [(cell["actual"], cell["predicted"], cell["rows"]) for cell in cells] == [
        ("negative", "negative", 1),
        ("negative", "positive", 1),
        ("positive", "negative", 1),
        ("positive", "positive", 2),
    ]
    assert cells[3]["share"] == pytest.approx(2 / 3)


def test_intervals_of_folds_are_those_of_the_corrected_t_test() -> None:
    folds = np.arange(500).astype(np.int8) % 5
    bounds = fold_intervals(LABELS, PROBABILITIES, 0.5, folds)
    for name, metric, values in (
        ("accuracy", metrics.accuracy_score, PREDICTED),
        ("f1_macro", partial(metrics.f1_score, average="macro"), PREDICTED),
        ("roc_auc", metrics.roc_auc_score, PROBABILITIES),
    ):
        by_fold = [metric(LABELS[folds == fold], values[folds == fold]) for fold in range(5)]
        half = scipy.stats.t.ppf(0.975, 4) * np.sqrt((1 / 5 + 1 / 4) * np.var(by_fold, ddof=1))
        overall = metric(LABELS, values)
        expected = [overall - half, overall + half]
        assert [bounds[f"{name}_low"], bounds[f"{name}_high"]] == pytest.approx(expected, abs=1e-5)


def test_quantiles_of_student_are_those_of_scipy() -> None:
    assert scipy.stats.t.ppf(0.975, range(1, 20)) == pytest.approx(T_975, abs=5e-5)
