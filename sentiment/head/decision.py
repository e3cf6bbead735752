"""Choose on val what a probability means: its temperature, the threshold of the labels, and where to say "unsure".

    decision = decide(classifier, val, Rules(threshold="best_f1", calibrates=True, abstain_precision=0.95))
    classifier = decision.applied(classifier)

Val also chose the penalty or the epoch, so figures on val are somewhat too good; test and `split.folds` are not.
"""

import re
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sentiment.common.errors import ClassifierError
from sentiment.head.classifier import Classifier
from sentiment.head.features import LabeledFeatures
from sentiment.numerics.arrays import sigmoid, tree_sum

Float64s = NDArray[np.float64]

BEST = {"best_accuracy": "accuracy", "best_f1": "f1_macro"}  # rules that look for the highest value of a metric
# metrics of rules such as "recall@0.9"; whether the highest threshold that reaches the value is taken, or the lowest
REACHED = {"recall": True, "precision": False, "recall_negative": False, "precision_negative": True}
RULE = re.compile(rf"({'|'.join(REACHED)})@(0\.\d{{1,9}}|1(?:\.0)?)")
MAX_TEMPERATURE = 32.0  # and the lowest is its inverse; val that is separated without an error has no best one
BISECTIONS = 40
MIN_SURE = 10  # val reviews that must get a sure label; by fewer, a precision is not known


@dataclass(frozen=True)
class Rules:
    """How to decide.

    Attributes:
        threshold: a number, a key of `BEST`, or a metric of `REACHED` with a value that it must reach: "recall@0.9".
        calibrates: whether probabilities are calibrated by a temperature.
        abstain_precision: of each label that is not "unsure"; None where every review gets a label.
    """

    threshold: float | str
    calibrates: bool
    abstain_precision: float | None


@dataclass(frozen=True)
class Decision:
    """What was chosen.

    Attributes:
        temperature: by which logits are divided.
        threshold: a probability of at least this is "positive".
        unsure: probabilities from the first on and below the second are "unsure"; None for none.
    """

    temperature: float
    threshold: float
    unsure: tuple[float, float] | None

    def applied(self, classifier: Classifier) -> Classifier:
        """Return the classifier with the decision in it."""
        divided = classifier.divided(self.temperature)
        config = divided.config.model_copy(update={"threshold": self.threshold, "unsure": self.unsure})
        return replace(divided, config=config)


def decide(classifier: Classifier, val: LabeledFeatures, rules: Rules) -> Decision:
    """Return what the rules choose on val.

    Raises:
        ClassifierError: no threshold reaches what a rule asks for.
    """
    labels = val.labels.astype(np.int8)
    temperature = fit_temperature(classifier.logits(val.features, val.tokens), labels) if rules.calibrates else 1.0
    if isinstance(rules.threshold, float) and rules.abstain_precision is None:
        return Decision(temperature, rules.threshold, None)
    calibrated = Decision(temperature, 0.5, None).applied(classifier)
    candidates = Candidates.of(labels, calibrated.predict_proba(val.features, val.tokens))
    threshold = rules.threshold if isinstance(rules.threshold, float) else candidates.choose(rules.threshold)
    unsure = None
    if rules.abstain_precision is not None:
        unsure = candidates.unsure(threshold, rules.abstain_precision)
    return Decision(temperature, threshold, unsure)


def fit_temperature(logits: Float64s, labels: NDArray[np.int8]) -> float:
    """Return the temperature of lowest cross-entropy of sigmoid(logits / temperature), at most `MAX_TEMPERATURE`.

    Guo et al., On Calibration of Modern Neural Networks, ICML 2017. The cross-entropy is convex in the inverse
    temperature, so its derivative, the mean of (probability - label) * logit, is bisected.

    Args:
        logits: shape (n_samples,).
        labels: 0 or 1, shape (n_samples,).
    """
    low, high = 1 / MAX_TEMPERATURE, MAX_TEMPERATURE  # of the inverse temperature
    for _ in range(BISECTIONS):
        inverse = (low + high) / 2
        if tree_sum((sigmoid(inverse * logits) - labels) * logits) < 0:
            low = inverse
        else:
            high = inverse
    return 2 / (low + high)


@dataclass(frozen=True)
class Candidates:
    """Every threshold that tells val reviews apart, from the lowest to the highest, and the metrics of each.

    Attributes:
        thresholds: shape (n,); all reviews are positive at the first, none at the last.
        metrics: accuracy, f1_macro and those of `REACHED`, each of shape (n,); NaN where not defined.
        n_positive: reviews that are labeled positive, shape (n,).
        highest: of the thresholds that label as each does, shape (n,).
    """

    thresholds: Float64s
    metrics: dict[str, Float64s]
    n_positive: NDArray[np.int64]
    highest: Float64s

    @classmethod
    def of(cls, labels: NDArray[np.int8], probabilities: NDArray[np.float32]) -> "Candidates":
        """Return the candidates between the probabilities of reviews, both of shape (n_samples,)."""
        order = np.argsort(probabilities, kind="stable")
        ordered = probabilities[order]
        starts = np.append(np.flatnonzero(np.diff(ordered, prepend=-1.0)), len(ordered))  # reviews below each candidate
        positives_below = np.append(0, np.cumsum(labels[order], dtype=np.int64))[starts]
        fn, tn = positives_below, starts - positives_below
        tp, fp = fn[-1] - fn, tn[-1] - tn
        edges = np.concatenate([[0.0], ordered[starts[:-1]].astype(np.float64), [1.0]])
        with np.errstate(invalid="ignore"):  # NaN for 0 / 0
            metrics = {
                "accuracy": (tp + tn) / len(labels),
                "f1_macro": (2 * tp / (2 * tp + fp + fn) + 2 * tn / (2 * tn + fp + fn)) / 2,
                "recall": tp / (tp + fn),
                "precision": tp / (tp + fp),
                "recall_negative": tn / (tn + fp),
                "precision_negative": tn / (tn + fn),
            }
        thresholds = [_between(*pair) for pair in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)]
        return cls(np.array(thresholds), metrics, tp + fp, edges[1:])

    def choose(self, rule: str) -> float:
        """Return the threshold of a rule of `Rules.threshold`; of equal ones that nearest to 0.5.

        Raises:
            ClassifierError: no threshold reaches the value.
        """
        if rule in BEST:
            values = self.metrics[BEST[rule]]
            best = np.flatnonzero(values == np.nanmax(values))
            return float(self.thresholds[best[np.abs(self.thresholds[best] - 0.5).argmin()]])
        name, value = rule.split("@")
        return float(self.thresholds[self._reaching(name, float(value), f"train.threshold {rule}")])

    def unsure(self, threshold: float, precision: float) -> tuple[float, float]:
        """Return the two thresholds of "unsure" around `threshold`: outside, each label has at least this precision.

        Raises:
            ClassifierError: a label does not reach it for `MIN_SURE` reviews.
        """
        advice = f"train.abstain_precision {precision:g}"
        own = int(np.searchsorted(self.highest, np.float32(threshold)))  # labels as the threshold does
        low = self._reaching("precision_negative", precision, advice, MIN_SURE, slice(own + 1))
        high = own + self._reaching("precision", precision, advice, MIN_SURE, slice(own, None))
        return (
            threshold if low == own else float(self.thresholds[low]),
            threshold if high == own else float(self.thresholds[high]),
        )

    def _reaching(
        self, name: str, value: float, asked_by: str, at_least: int = 1, candidates: slice = slice(None)
    ) -> int:
        """Return the number, among the candidates, of that which reaches a value of a metric for so many reviews."""
        n_labeled = self.n_positive if not name.endswith("_negative") else self.n_positive[0] - self.n_positive
        values = np.where(n_labeled >= at_least, self.metrics[name], np.nan)[candidates]
        reaching = np.flatnonzero(values >= value)
        if not len(reaching):
            best = "no review has it" if np.isnan(values).all() else f"the highest is {np.nanmax(values):.3f}"
            raise ClassifierError(f"{asked_by}: no threshold reaches it on val ({name}: {best}); ask for less")
        return int(reaching[-1] if REACHED[name] else reaching[0])


def _between(low: float, high: float) -> float:
    """Return a number of few digits above `low` and at most `high`, near their middle, above 0 and below 1."""
    middle = (low + high) / 2
    for digits in range(1, 10):
        rounded = round(middle, digits)
        if np.float32(low) < np.float32(rounded) <= np.float32(high) and 0 < rounded < 1:
            return rounded
    return min(max(high, 2.0**-149), 1 - 2.0**-24)
