"""Metrics, report and curves against scikit-learn, to 1e-12, on scores with and without ties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics

from sentiment.evaluation.bootstrap import percentile_interval
from sentiment.evaluation.curves import precision_recall_points, rank_counts, roc_points
from sentiment.evaluation.metrics import Z_95, compute_metrics, wilson_interval


def sample(n: int, decimals: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels of both classes, and probabilities rounded to this number of decimals, 0 and 1 among them."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < share).astype(np.int8)
    labels[:2] = 0, 1
    probabilities = np.clip(rng.normal(0.35 + 0.3 * labels, 0.25), 0, 1).round(decimals).astype(np.float32)
    return labels, probabilities


SAMPLES = {
    "n": st.integers(2, 400),
    "decimals": st.integers(0, 8),
    "share": st.sampled_from([0.05, 0.5, 0.9]),
    "seed": st.integers(0, 10**6),
}


@settings(deadline=None)
@given(**SAMPLES)
def test_every_metric_is_that_of_sklearn(n: int, decimals: int, share: float, seed: int) -> None:
    labels, probabilities = sample(n, decimals, share, seed)
    predicted, as_float64 = probabilities >= 0.5, probabilities.astype(np.float64)
    values = compute_metrics(labels, predicted.astype(np.int8), probabilities, bins=10, n_resamples=2, seed=0)
    expected = {
        "accuracy": metrics.accuracy_score(labels, predicted),
        "f1_macro": metrics.f1_score(labels, predicted, average="macro", zero_division=0),
        "roc_auc": metrics.roc_auc_score(labels, probabilities),
        "balanced_accuracy": metrics.balanced_accuracy_score(labels, predicted),
        "recall": metrics.recall_score(labels, predicted),
        "f1": metrics.f1_score(labels, predicted, zero_division=0),
        "recall_negative": metrics.recall_score(labels, predicted, pos_label=0),
        "f1_negative": metrics.f1_score(labels, predicted, pos_label=0, zero_division=0),
        "average_precision": metrics.average_precision_score(labels, probabilities),
        "log_loss": metrics.log_loss(labels, as_float64),
        "brier": metrics.brier_score_loss(labels, as_float64),
    }
    for name, label in (("precision", 1), ("precision_negative", 0)):
        if label in predicted:  # else it is not defined, and left out
            expected[name] = metrics.precision_score(labels, predicted, pos_label=label)
        assert (name in values) == (label in predicted)
    assert {name: values[name] for name in expected} == pytest.approx(expected, rel=1e-12, abs=1e-12)


@settings(deadline=None)
@given(**SAMPLES)
def test_curves_are_those_of_sklearn(n: int, decimals: int, share: float, seed: int) -> None:
    labels, probabilities = sample(n, decimals, share, seed)
    counts = rank_counts(labels, probabilities)
    false_rate, true_rate, _ = metrics.roc_curve(labels, probabilities)
    np.testing.assert_allclose(roc_points(counts), (false_rate, true_rate), rtol=1e-12)
    precision, recall, _ = metrics.precision_recall_curve(labels, probabilities)
    np.testing.assert_allclose(precision_recall_points(counts), (precision[::-1], recall[::-1]), rtol=1e-12)


@given(st.integers(0, 500), st.integers(0, 500))
def test_the_wilson_interval_is_that_of_scipy(n_correct: int, n_wrong: int) -> None:
    if n_correct + n_wrong:
        expected = binomtest(n_correct, n_correct + n_wrong).proportion_ci(method="wilson")
        assert wilson_interval(n_correct, n_correct + n_wrong) == pytest.approx(
            (expected.low, expected.high), abs=1e-12
        )


@given(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=300).map(np.array))
def test_the_percentile_interval_is_that_of_numpy_without_nan(values: np.ndarray) -> None:
    kept = values[~np.isnan(values)]
    expected = np.quantile(kept, [0.025, 0.975]) if len(kept) else [np.nan, np.nan]
    assert percentile_interval(values) == pytest.approx(tuple(expected), rel=1e-12, abs=1e-9, nan_ok=True)


def test_the_normal_quantiles_are_those_of_the_normal_distribution() -> None:
    from statistics import NormalDist

    from sentiment.evaluation.significance import POWER, Z_POWER

    assert pytest.approx(NormalDist().inv_cdf(0.975), abs=1e-14) == Z_95
    assert pytest.approx(NormalDist().inv_cdf(POWER), abs=1e-14) == Z_POWER
