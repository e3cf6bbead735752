"""The numbers of a comparison, against other programs, cases worked out by hand, and simulated truth."""

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from sentiment.evaluation.metrics import Predictions
from sentiment.evaluation.significance import (
    POWER,
    compare_paired,
    holm,
    mcnemar_exact,
    min_detectable_difference,
)

Pair = tuple[NDArray[np.int8], Predictions, Predictions]
ROWS = 2264  # of the real test reviews, about


def predictions_of(correct: NDArray[np.bool_], labels: NDArray[np.int8]) -> Predictions:
    """Predictions that are correct where `correct` is True, with a probability of 0.9 or 0.1."""
    predicted = np.where(correct, labels, 1 - labels).astype(np.int8)
    return Predictions(np.where(predicted == 1, 0.9, 0.1).astype(np.float32), predicted)


def noisy_predictions(rng: np.random.Generator, labels: NDArray[np.int8], noise: float) -> Predictions:
    probabilities = np.clip(labels * 0.4 + 0.3 + rng.normal(0, noise, len(labels)), 0.01, 0.99).astype(np.float32)
    return Predictions(probabilities, (probabilities >= 0.5).astype(np.int8))


@pytest.fixture
def pair() -> Pair:
    rng = np.random.default_rng(7)
    labels = (rng.random(400) < 0.77).astype(np.int8)
    return labels, noisy_predictions(rng, labels, 0.2), noisy_predictions(rng, labels, 0.16)


def test_a_case_worked_out_by_hand() -> None:
    # ten reviews: A wrong on the first two, B on the third; 3 discordant, 1 against 2
    labels = np.array([1, 1, 1, 1, 1, 1, 0, 0, 0, 0], dtype=np.int8)
    a_correct = np.array([0, 0, 1, 1, 1, 1, 1, 1, 1, 1], dtype=bool)
    b_correct = np.array([1, 1, 0, 1, 1, 1, 1, 1, 1, 1], dtype=bool)
    a, b = predictions_of(a_correct, labels), predictions_of(b_correct, labels)
    comparison = compare_paired(labels, a, b, n_resamples=500, seed=0)
    assert (comparison.only_a_correct, comparison.only_b_correct) == (1, 2)
    assert comparison.p_value == pytest.approx(1.0)  # 2 * (1 + 3) / 2**3, cut off at 1
    assert comparison.verdict == "no difference"
    accuracy = comparison.metrics["accuracy"]
    assert (accuracy.a, accuracy.b, accuracy.difference) == pytest.approx((0.8, 0.9, 0.1))
    # A: 4 of 6 positives found, no false alarm: F1 0.8 and 0.8; B: 5 of 6: 10/11 and 8/9
    assert comparison.metrics["f1_macro"].a == pytest.approx(0.8)
    assert comparison.metrics["f1_macro"].b == pytest.approx((10 / 11 + 8 / 9) / 2)
    # A: 4 positives above all negatives, 2 tied with them: (4 + 2 / 2) / 6
    assert comparison.metrics["roc_auc"].a == pytest.approx(5 / 6)


@pytest.mark.parametrize("n", [0, 1, 2, 9])
def test_holm_is_that_of_statsmodels(n: int) -> None:
    p_values = np.random.default_rng(n).beta(0.3, 1, n).round(2).tolist()
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1] if n else [])


def test_p_values_of_mcnemars_test_by_hand() -> None:
    assert mcnemar_exact(6, 0) == pytest.approx(2 / 2**6)
    assert mcnemar_exact(0, 0) == 1


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 1), (3, 9), (25, 41), (60, 60), (700, 801)])
def test_p_is_that_of_statsmodels(only_a: int, only_b: int) -> None:
    expected = mcnemar([[5, only_a], [only_b, 7]], exact=True).pvalue
    assert mcnemar_exact(only_a, only_b) == pytest.approx(min(1.0, expected), rel=1e-9)


@pytest.mark.slow
def test_intervals_agree_with_a_bootstrap_by_brute_force(pair: Pair) -> None:
    labels, a, b = pair
    comparison = compare_paired(labels, a, b, n_resamples=4000, seed=0)
    measures: dict[str, Callable[..., float]] = {
        "accuracy": lambda y, one: metrics.accuracy_score(y[0], y[1]),
        "f1_macro": lambda y, one: metrics.f1_score(y[0], y[1], average="macro"),
        "roc_auc": lambda y, one: metrics.roc_auc_score(y[0], y[2]),
    }
    rng = np.random.default_rng(1)
    resampled: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(300):
        rows = rng.integers(0, len(labels), len(labels))
        for name, measure in measures.items():
            values = [measure((labels[rows], x.labels[rows], x.probabilities[rows]), x) for x in (a, b)]
            resampled[name].append(values[1] - values[0])
    for name, measure in measures.items():
        difference = comparison.metrics[name]
        exact = [measure((labels, x.labels, x.probabilities), x) for x in (a, b)]
        assert (difference.a, difference.b) == pytest.approx(tuple(exact), abs=1e-9)
        low, high = np.quantile(resampled[name], [0.025, 0.975])
        width = high - low
        # the ends of 300 draws stray by a tenth of the interval
        assert (difference.low, difference.high) == pytest.approx((low, high), abs=0.15 * width)


def test_swapping_flips_every_sign(pair: Pair) -> None:
    labels, a, b = pair
    forward, swapped = compare_paired(labels, a, b, 1000, 3), compare_paired(labels, b, a, 1000, 3)
    for name, one in forward.metrics.items():
        other = swapped.metrics[name]
        assert (one.a, one.b) == (other.b, other.a)
        assert (one.difference, one.low, one.high) == pytest.approx((-other.difference, -other.high, -other.low))
    assert (forward.only_a_correct, forward.only_b_correct, forward.p_value) == (
        swapped.only_b_correct,
        swapped.only_a_correct,
        swapped.p_value,
    )
    opposite = {"better": "worse", "worse": "better", "no difference": "no difference"}
    assert swapped.verdict == opposite[forward.verdict]


def test_with_itself_there_is_no_difference(pair: Pair) -> None:
    labels, a, _ = pair
    comparison = compare_paired(labels, a, a, 500, 0)
    assert comparison.verdict == "no difference"
    assert comparison.p_value == 1
    assert all((one.difference, one.low, one.high) == (0, 0, 0) for one in comparison.metrics.values())


def verdicts(accuracy_a: float, accuracy_b: float, pairs: int, seed: int) -> Iterator[str]:
    """Verdicts on simulated pairs whose errors are independent, the hardest case."""
    rng = np.random.default_rng(seed)
    for _ in range(pairs):
        labels = (rng.random(ROWS) < 0.77).astype(np.int8)
        a, b = (predictions_of(rng.random(ROWS) < accuracy, labels) for accuracy in (accuracy_a, accuracy_b))
        yield compare_paired(labels, a, b, n_resamples=2, seed=0).verdict  # the draws do not decide


def test_equal_classifiers_are_called_different_in_about_one_of_twenty() -> None:
    n_different = sum(verdict != "no difference" for verdict in verdicts(0.9, 0.9, pairs=400, seed=11))
    assert 0.02 <= n_different / 400 <= 0.09


def test_three_points_are_found() -> None:
    n_better = sum(verdict == "better" for verdict in verdicts(0.9, 0.93, pairs=200, seed=12))
    assert n_better / 200 >= 0.9


def test_few_discordant_reviews_never_make_a_difference() -> None:
    # five against none: the bootstrap's interval excludes zero, and yet equal classifiers reach that in 1 case of 16
    labels = np.ones(300, dtype=np.int8)
    labels[200:] = 0
    a_correct = np.ones(300, dtype=bool)
    a_correct[:5] = False
    a, b = predictions_of(a_correct, labels), predictions_of(np.ones(300, dtype=bool), labels)
    comparison = compare_paired(labels, a, b, n_resamples=2000, seed=0)
    assert comparison.metrics["accuracy"].low > 0
    assert comparison.verdict == "no difference"


def test_the_detectable_difference_is_detected_as_often_as_promised() -> None:
    disagreements = 300
    difference = min_detectable_difference(ROWS, disagreements)
    rng = np.random.default_rng(13)
    share = disagreements / ROWS
    chances = [(share - difference) / 2, (share + difference) / 2, 1 - share]
    draws = rng.multinomial(ROWS, chances, size=2000)
    detected = np.mean([mcnemar_exact(only_a, only_b) < 0.05 for only_a, only_b, _ in draws.tolist()])
    assert detected == pytest.approx(POWER, abs=0.04)  # the exact test is a little shy, the formula is not


def test_the_detectable_difference_is_at_least_six_reviews() -> None:
    assert min_detectable_difference(1000, 0) == 6 / 1000
    assert min_detectable_difference(3, 2) == 1


def test_ten_thousand_resamples_take_three_seconds() -> None:
    rng = np.random.default_rng(5)
    labels = (rng.random(ROWS) < 0.77).astype(np.int8)
    a, b = noisy_predictions(rng, labels, 0.2), noisy_predictions(rng, labels, 0.2)
    start = time.process_time()
    compare_paired(labels, a, b, 10_000, 0)
    assert time.process_time() - start < 6  # 2 on a quiet machine; a busy one counts up to twice that
