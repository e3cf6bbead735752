"""What val decides: temperature, threshold and where to say "unsure"; against scikit-learn, scipy and by hand."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn import metrics

from sentiment.common.errors import ClassifierError
from sentiment.encoder.config import EncoderConfig, FeatureMetadata
from sentiment.head.classifier import Classifier, ClassifierConfig, predict_labels
from sentiment.head.decision import Candidates, Decision, Rules, decide, fit_temperature
from sentiment.head.features import LabeledFeatures

RNG = np.random.default_rng(3)
LOGITS = RNG.normal(1.0, 2.0, 500)
truth = (RNG.random(500) < 1 / (1 + np.exp(-LOGITS / 2.5))).astype(np.int8)  # overconfident by 2.5
scores = (1 / (1 + np.exp(-LOGITS))).astype(np.float32)
CANDIDATES = Candidates.of(truth, scores)


def overconfident() -> Classifier:
    """Return a classifier of one feature, which is the logit."""
    features = FeatureMetadata(
        config=EncoderConfig(max_length=20, pooling="mean", precision="auto"),
        fingerprint="f",
        dim=1,
        text_columns=("t",),
    )
    one = np.ones(1, np.float32)
    layer = np.ones((1, 1)), np.zeros(1)
    return Classifier(ClassifierConfig(features=features, threshold=0.5), np.zeros(1, np.float32), one, (layer,))


VAL = LabeledFeatures(LOGITS.astype(np.float32)[:, None], truth.astype(np.float64))


def test_the_temperature_is_that_of_lowest_cross_entropy() -> None:
    def loss(temperature: float) -> float:
        return float(np.mean(np.logaddexp(0, LOGITS / temperature) - truth * LOGITS / temperature))

    best = minimize_scalar(loss, bounds=(0.1, 10), method="bounded", options={"xatol": 1e-9})
    assert fit_temperature(LOGITS, truth) == pytest.approx(best.x, rel=1e-5)
    assert best.x == pytest.approx(2.5, rel=0.15)


def test_val_without_an_error_has_a_bounded_temperature() -> None:
    assert fit_temperature(np.array([-1.0, 1.0]), np.array([0, 1], np.int8)) == pytest.approx(1 / 32)


def test_a_temperature_divides_the_logits_and_changes_no_label() -> None:
    before = overconfident()
    after = decide(before, VAL, Rules(0.5, calibrates=True, abstain_precision=None)).applied(before)
    np.testing.assert_allclose(after.logits(VAL.features) * after.config.temperature, before.logits(VAL.features))
    labels = [predict_labels(one.predict_proba(VAL.features), 0.5) for one in (before, after)]
    assert np.array_equal(labels[0], labels[1])
    np.testing.assert_array_equal(
        after.divided(1 / after.config.temperature).predict_proba(VAL.features), before.predict_proba(VAL.features)
    )


@pytest.mark.parametrize(
    ("rule", "metric"),
    [
        ("best_accuracy", metrics.accuracy_score),
        ("best_f1", lambda labels, predicted: metrics.f1_score(labels, predicted, average="macro")),
    ],
)
def test_the_best_threshold_is_as_good_as_any(rule: str, metric: object) -> None:
    assert callable(metric)
    found = metric(truth, scores >= np.float32(CANDIDATES.choose(rule)))
    assert found == pytest.approx(max(metric(truth, scores >= one) for one in np.unique(scores)))


@pytest.mark.parametrize(
    ("rule", "label", "metric", "is_highest"),
    [
        ("recall@0.9", 1, metrics.recall_score, True),
        ("precision@0.9", 1, metrics.precision_score, False),
        ("recall_negative@0.7", 0, metrics.recall_score, False),
        ("precision_negative@0.6", 0, metrics.precision_score, True),
    ],
)
def test_a_rule_is_reached_by_as_many_labels_as_possible(
    rule: str, label: int, metric: object, is_highest: bool
) -> None:
    assert callable(metric)
    threshold, wanted = np.float32(CANDIDATES.choose(rule)), float(rule.split("@")[1])
    assert metric(truth, scores >= threshold, pos_label=label) >= wanted
    ordered = np.unique(scores)
    others = ordered[ordered > threshold][1:] if is_highest else ordered[ordered < threshold]
    assert len(others)
    assert max(metric(truth, scores >= one, pos_label=label, zero_division=0) for one in others) < wanted


def test_thresholds_have_few_digits() -> None:
    few = Candidates.of(np.array([0, 1], np.int8), np.array([0.2, 0.9], np.float32))
    assert few.thresholds.tolist() == [0.1, 0.5, 0.95]
    assert few.choose("best_accuracy") == 0.5


def test_unsure_is_what_neither_label_says_with_the_precision() -> None:
    decision = decide(overconfident(), VAL, Rules(0.5, calibrates=False, abstain_precision=0.8))
    assert decision.unsure is not None
    low, high = (np.float32(bound) for bound in decision.unsure)
    assert low < 0.5 < high
    for sure, label in ((scores < low, 0), (scores >= high, 1)):
        assert (truth[sure] == label).mean() >= 0.8
    assert decision.threshold == 0.5


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.51, 0.8])
def test_both_labels_have_the_precision_where_it_rises_and_falls_with_the_threshold(threshold: float) -> None:
    n_decided = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        wavy = np.round(rng.random(60), 2).astype(np.float32)
        labels = (rng.random(60) < wavy + 0.3 * np.sin(20 * wavy)).astype(np.int8)
        try:
            low, high = map(np.float32, Candidates.of(labels, wavy).unsure(threshold, 0.7))
        except ClassifierError:
            continue
        n_decided += 1
        assert low <= np.float32(threshold) <= high
        assert (labels[wavy < low] == 0).mean() >= 0.7
        assert (labels[wavy >= high] == 1).mean() >= 0.7
    assert n_decided > 2


def test_a_precision_that_is_reached_everywhere_leaves_nothing_unsure() -> None:
    labels = (scores >= 0.5).astype(np.int8)
    assert Candidates.of(labels, scores).unsure(0.5, 0.95) == (0.5, 0.5)


def test_what_no_threshold_reaches_is_refused() -> None:
    coin = Candidates.of((np.arange(400) % 2).astype(np.int8), np.linspace(0.1, 0.9, 400).astype(np.float32))
    with pytest.raises(
        ClassifierError, match=r"abstain_precision 0.95: no threshold reaches it on val \(precision_neg"
    ):
        coin.unsure(0.5, 0.95)
    with pytest.raises(ClassifierError, match=r"train.threshold precision@1: .* the highest is 0.500"):
        Candidates.of(np.array([0, 1, 0], np.int8), np.array([0.1, 0.5, 0.9], np.float32)).choose("precision@1")


def test_nothing_is_decided_by_default() -> None:
    assert decide(overconfident(), VAL, Rules(0.5, calibrates=False, abstain_precision=None)) == Decision(
        1.0, 0.5, None
    )
