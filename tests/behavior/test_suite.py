"""Cases of behavioral tests: enough, distinct, filled in, and the same everywhere."""

import hashlib
import re

import pytest

from sentiment.behavior.suite import MAX_CASES, cases, drop_letter, swap_letters
from sentiment.behavior.templates import KINDS

REQUESTED = {"negation", "double_negation", "intensifiers", "but_clauses", "neutral_facts", "typos",
             "names_and_products", "word_order", "emoji", "capitals"}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_enough_distinct_cases_without_open_slots(kind: str) -> None:
    sample = cases(kind, seed=0, n=MAX_CASES)
    assert len({one.text for one in sample}) == MAX_CASES >= 200
    for one in sample:
        assert not re.search(r"[{}]|  ", one.text)
        assert (one.original is None) == (KINDS[kind].test == "minimum functionality")
        assert (one.expected is None) == (KINDS[kind].test == "invariance")
        assert one.text != one.original


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.test != "invariance"])
def test_both_labels_are_about_equally_frequent(kind: str) -> None:
    expected = [one.expected for one in cases(kind, seed=0, n=200)]
    assert abs(expected.count("positive") - expected.count("negative")) <= len(KINDS[kind].templates) / 2


def test_there_are_the_ten_kinds_that_users_ask_for() -> None:
    assert set(KINDS) >= REQUESTED


def test_the_sample_depends_on_the_seed_alone() -> None:
    texts = [one.text for kind in KINDS for one in cases(kind, seed=0, n=200)]
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    assert digest.startswith("cc6165a90a07d4d8"), (
        "other templates, or another order: run dvc repro, and write the hash here"
    )
    assert [one.text for one in cases("typos", seed=1, n=200)] != [one.text for one in cases("typos", seed=0, n=200)]


def test_a_smaller_sample_is_the_beginning_of_a_larger_one() -> None:
    assert cases("emoji", seed=0, n=20) == cases("emoji", seed=0, n=200)[:20]


def test_a_typo_is_inside_one_longer_word() -> None:
    text = "I love this kettle. It pours well."
    swapped, dropped = swap_letters(text), drop_letter(text)
    assert sorted(swapped) == sorted(text) != list(swapped)
    assert swapped != text
    assert len(dropped) == len(text) - 1
    for changed in (swapped, dropped):
        [(before, after)] = [pair for pair in zip(text.split(), changed.split(), strict=True) if pair[0] != pair[1]]
        assert (before[0], before.rstrip(".")[-1]) == (after[0], after.rstrip(".")[-1])
