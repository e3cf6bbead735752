"""Make the cases of behavioral tests, and score what a classifier predicts of them.

    cases("negation", seed=0, n=200)            # of every text that the templates give, the same everywhere
    check(classifier.predict_proba, 0.5, seed=0, n_cases=200, n_examples=5)

A test of minimum functionality fails where the label is not the expected one; of invariance, where text and original
have different labels, whatever they are; of direction, where the probability of the expected label falls by more than
`TOLERANCE` against the original.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from string import Formatter

import numpy as np
from numpy.typing import NDArray

from sentiment.behavior.templates import KINDS, POSITIVE, PRODUCTS, WORDS, Label, Product, Template
from sentiment.common.tables import LABELS
from sentiment.evaluation.metrics import wilson_interval
from sentiment.head.classifier import predict_labels

MAX_CASES = 300  # of a kind; each has more texts
MIN_LETTERS = 5  # of a word that gets a typo

TOLERANCE = 0.05  # of a probability
Predict = Callable[[Sequence[str]], NDArray[np.float32]]


@dataclass(frozen=True)
class Case:
    """A text whose label, or its change against another text, a reader knows.

    Attributes:
        original: the text with which it is compared; None in a test of minimum functionality.
        expected: the label; in a test of direction, the label whose probability may not fall; None in a test of
            invariance.
    """

    text: str
    original: str | None = None
    expected: Label | None = None


def cases(kind: str, seed: int, n: int) -> list[Case]:
    """Return a sample of the cases of a kind, with equally many of each template as far as there are.

    Cases of a template are in the order of a hash of seed and text, which is the same in every version of Python.

    Args:
        kind: one of `KINDS`.
        n: at most `MAX_CASES`.
    """
    ranked = []
    for of_template in _all_cases(kind):
        in_order = sorted((_digest(seed, one.original, one.text), one) for one in of_template)
        distinct = {case.text: (digest, case) for digest, case in reversed(in_order)}  # the first of each text
        ranked += [(rank, *pair) for rank, pair in enumerate(sorted(distinct.values()))]
    return [case for _, _, case in sorted(ranked)[:n]]  # no two have the same digest


def _digest(*values: object) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()


@cache
def _all_cases(kind: str) -> list[list[Case]]:
    """Return the cases of each template, or of each template and perturbation."""
    return [
        [Case(perturb(text), original, template.expected) for text, original in _filled(template)]
        for template in KINDS[kind].templates
        for perturb in [PERTURBATIONS[name] for name in KINDS[kind].perturb] or [str]
    ]


def _filled(template: Template) -> Iterator[tuple[str, str | None]]:
    """Yield text and original with every combination of words for the slots."""
    parts = Formatter().parse(template.text + (template.original or ""))
    names = list(dict.fromkeys(name for _, name, _, _ in parts if name))
    for one in PRODUCTS:
        words = _words(one)
        for values in product(*(words[name] for name in names)):
            chosen = dict(zip(names, values, strict=True))
            yield template.text.format(**chosen), template.original and template.original.format(**chosen)


def _words(one: Product) -> Mapping[str, tuple[str, ...]]:
    """Return the words for each slot of a template about a product."""
    return {
        **WORDS,
        "product": (one.name,),
        "other_product": tuple(other.name for other in PRODUCTS if other != one),
        "use": (one.use,),
        "good": one.good[:2],
        "also_good": one.good[2:],
        "bad": one.bad[:2],
        "also_bad": one.bad[2:],
        "praise": one.praises,
        "Praise": tuple(clause[0].upper() + clause[1:] for clause in one.praises),
        "defect": one.defects,
        "Defect": tuple(clause[0].upper() + clause[1:] for clause in one.defects),
    }


def _typo_index(text: str) -> int:
    """Return the index of a letter inside one of the longer words that differs from the next; a hash chooses it."""
    words = re.finditer(rf"[A-Za-z]{{{MIN_LETTERS},}}", text)
    indices = [index for word in words for index in range(word.start() + 1, word.end() - 2)]
    return min((index for index in indices if text[index] != text[index + 1]), key=lambda index: _digest(text, index))


def swap_letters(text: str) -> str:
    """Return the text with two neighbors inside a word swapped."""
    at = _typo_index(text)
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def drop_letter(text: str) -> str:
    """Return the text without a letter inside a word."""
    at = _typo_index(text)
    return text[:at] + text[at + 1 :]


PERTURBATIONS: Mapping[str, Callable[[str], str]] = {
    "swap_letters": swap_letters,
    "drop_letter": drop_letter,
    "upper": str.upper,
    "lower": str.lower,
}


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
