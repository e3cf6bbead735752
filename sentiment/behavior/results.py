"""Score the predictions of behavioral cases: failures of each kind, their rate with its interval, and examples.

A test of minimum functionality fails where the label is not the expected one; of invariance, where text and original
have different labels, whatever they are; of direction, where the probability of the expected label falls by more than
`TOLERANCE` against the original.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from sentiment.behavior.cases import Case, cases
from sentiment.behavior.templates import KINDS, POSITIVE
from sentiment.data.labels import LABELS, predict_labels
from sentiment.evaluation.metrics import wilson_interval

TOLERANCE = 0.05  # of a probability
Predict = Callable[[Sequence[str]], NDArray[np.float32]]


@dataclass(frozen=True)
class Outcome:
    """What a classifier makes of one case.

    Attributes:
        expected: a label, or in words how the probability may change.
        probability, original_probability: of "positive".
    """

    text: str
    expected: str
    label: str
    probability: float
    original: str | None
    original_probability: float | None
    failed: bool


@dataclass(frozen=True)
class KindResult:
    """What a classifier makes of a kind.

    Attributes:
        low, high: 95% interval of the failure rate, by Wilson.
        examples: failures, and where there are too few of them, cases that it passes.
    """

    title: str
    test: str
    what: str
    cases: int
    failures: int
    failure_rate: float
    low: float
    high: float
    examples: Sequence[Outcome]

    def as_dict(self) -> dict[str, object]:
        """Return it as it is written to JSON."""
        return asdict(self)


def check(predict: Predict, threshold: float, seed: int, n_cases: int, n_examples: int) -> dict[str, KindResult]:
    """Return the results of every kind, by its name.

    Args:
        predict: returns the probability of "positive" of each text, shape (n_texts,).
        threshold: a probability of at least this is positive.
        seed, n_cases: of the sample of each kind.
        n_examples: at most so many are kept of each kind.
    """
    sampled = {kind: cases(kind, seed, n_cases) for kind in KINDS}
    texts = [text for of_kind in sampled.values() for one in of_kind for text in (one.text, one.original) if text]
    distinct = list(dict.fromkeys(texts))
    probabilities = dict(zip(distinct, predict(distinct), strict=True))
    return {
        kind: summarize(kind, [outcome(one, probabilities, threshold) for one in of_kind], n_examples)
        for kind, of_kind in sampled.items()
    }


def outcome(case: Case, probabilities: Mapping[str, np.float32], threshold: float) -> Outcome:
    """Return what a classifier makes of a case, by the probability of "positive" of its text and original."""
    probability = probabilities[case.text]
    label = _label(probability, threshold)
    original = None if case.original is None else probabilities[case.original]
    if original is None:
        expected, failed = str(case.expected), label != case.expected
    elif case.expected is None:
        unchanged = _label(original, threshold)
        expected, failed = f"{unchanged}, as the original", label != unchanged
    else:
        rise = float(probability) - float(original)
        expected, failed = (
            f"not less {case.expected} than the original",
            (rise if case.expected == POSITIVE else -rise) < -TOLERANCE,
        )
    before = None if original is None else float(original)
    return Outcome(case.text, expected, label, float(probability), case.original, before, failed)


def _label(probability: np.float32, threshold: float) -> str:
    return LABELS[int(predict_labels(np.array([probability], np.float32), threshold)[0])]


def summarize(kind: str, outcomes: Sequence[Outcome], n_examples: int) -> KindResult:
    """Return the result of the cases of a kind, of which there is at least one."""
    one, n, failures = KINDS[kind], len(outcomes), sum(outcome.failed for outcome in outcomes)
    low, high = wilson_interval(failures, n)
    examples = sorted(outcomes, key=lambda outcome: not outcome.failed)[:n_examples]  # in the order of the sample
    return KindResult(one.title, one.test, one.what, n, failures, failures / n, low, high, examples)
