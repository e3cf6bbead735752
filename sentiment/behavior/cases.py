"""Make the cases of a behavioral test: every text that its templates give, and a sample that is the same everywhere.

cases("negation", seed=0, n=200)
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from string import Formatter

from sentiment.behavior.templates import KINDS, PRODUCTS, WORDS, Label, Product, Template

MAX_CASES = 300  # of a kind; each has more texts
MIN_LETTERS = 5  # of a word that gets a typo


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
