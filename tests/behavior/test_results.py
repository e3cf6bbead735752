"""What counts as a failure of each type of test, and what is written of a kind."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from sentiment.behavior.suite import Case, cases, check, outcome, summarize
from sentiment.behavior.templates import KINDS
from sentiment.evaluation.metrics import wilson_interval


def fails(case: Case, probability: float, original: float = 0, threshold: float = 0.5) -> bool:
    probabilities = {case.text: np.float32(probability), str(case.original): np.float32(original)}
    return outcome(case, probabilities, threshold).failed


def test_minimum_functionality_fails_where_the_label_is_another_one() -> None:
    case = Case("I do not like it.", expected="negative")
    assert fails(case, 0.5)
    assert not fails(case, 0.49)
    assert not fails(case, 0.5, threshold=0.6)


def test_invariance_fails_where_the_label_changes_and_not_where_both_are_wrong() -> None:
    case = Case("I loove it.", original="I love it.")
    assert fails(case, 0.4, original=0.6)
    assert not fails(case, 0.1, original=0.2)
    assert not fails(case, 0.6, original=0.9)


@pytest.mark.parametrize(("expected", "sign"), [("positive", 1), ("negative", -1)])
def test_direction_fails_where_the_probability_moves_the_wrong_way(expected: str, sign: int) -> None:
    case = Case("very", original="plain", expected="positive" if expected == "positive" else "negative")
    assert fails(case, 0.5 - sign * 0.06, original=0.5)
    assert not fails(case, 0.5 - sign * 0.04, original=0.5)
    assert not fails(case, 0.5 + sign * 0.3, original=0.5)


def test_failures_come_first_among_the_examples() -> None:
    texts = ["a", "b", "c", "d"]
    probabilities = {text: np.float32(value) for text, value in zip(texts, (0.9, 0.1, 0.9, 0.1), strict=True)}
    outcomes = [outcome(Case(text, expected="positive"), probabilities, 0.5) for text in texts]
    result = summarize("negation", outcomes, n_examples=3)
    assert [one.text for one in result.examples] == ["b", "d", "a"]
    assert (result.cases, result.failures, result.failure_rate) == (4, 2, 0.5)
    assert (result.low, result.high) == wilson_interval(2, 4)


def test_a_classifier_that_always_says_positive_fails_where_the_label_is_negative() -> None:
    asked: list[str] = []

    def predict(texts: Sequence[str]) -> NDArray[np.float32]:
        asked.extend(texts)
        return np.full(len(texts), 0.9, np.float32)

    results = check(predict, threshold=0.5, seed=0, n_cases=200, n_examples=3)
    assert len(asked) == len(set(asked)), "a text is encoded once"
    for kind, result in results.items():
        has_label = KINDS[kind].test == "minimum functionality"
        assert result.failures == sum(one.expected == "negative" for one in cases(kind, 0, 200) if has_label)
        assert len(result.examples) == 3
