"""Tests and intervals beside other implementations; which phrases are listed, and in which order."""

import numpy as np
import pytest
from scipy.stats import hypergeom
from statsmodels.stats.proportion import confint_proportions_2indep

from sentiment.evaluation.significance import holm
from sentiment.insights.counting import Corpus, Phrase, Totals
from sentiment.insights.ranking import difference_interval, fisher_exact, measure, rank

COUNTS = [
    (30, 100, 200, 1_000),
    (3, 100, 200, 1_000),
    (0, 5, 3, 50),
    (5, 5, 5, 5),
    (4, 4, 5, 50),
    (900, 4_196, 5_193, 22_641),
]


@pytest.mark.parametrize(("k", "n", "labeled", "total"), COUNTS)
def test_fishers_exact_test_is_twice_the_smaller_tail_of_scipys(k: int, n: int, labeled: int, total: int) -> None:
    smaller = min(hypergeom.sf(k - 1, total, labeled, n), hypergeom.cdf(k, total, labeled, n))
    assert fisher_exact(k, n, labeled, total) == pytest.approx(min(1.0, 2 * smaller), rel=1e-6)


@pytest.mark.parametrize(("k", "n", "other_k", "other_n"), [(30, 100, 170, 900), (0, 20, 3, 40), (20, 20, 0, 40)])
def test_the_interval_is_newcombes(k: int, n: int, other_k: int, other_n: int) -> None:
    expected = confint_proportions_2indep(k, n, other_k, other_n, method="newcomb")
    assert difference_interval(k, n, other_k, other_n) == pytest.approx(expected, abs=1e-6)


def phrase(words: str, reviews: range, contribution: float = -0.1) -> Phrase:
    indices = np.array(reviews, np.int32)
    return Phrase(tuple(words.split()), indices, np.full(len(indices), contribution), indices)


def corpus_of(*phrases: Phrase) -> Corpus:
    """400 reviews of one clause each; the first 100 pull to negative."""
    sums = np.where(np.arange(400) < 100, -1.0, 1.0)
    texts = [f"This is review number {index}" for index in range(400)]
    spans = np.array([(0, len(text)) for text in texts], np.int32)
    return Corpus(texts, np.full(400, 0.5, np.float32), phrases, np.arange(400, dtype=np.int32), spans, sums, Totals())


LABELS = ["negative"] * 100 + ["positive"] * 300


def test_a_phrase_is_listed_where_labels_and_classifier_agree() -> None:
    ranking = rank(
        corpus_of(
            phrase("zipper", range(60)),
            phrase("seam", range(80, 120)),
            phrase("read as praise", range(50), +0.1),
            phrase("everywhere", range(0, 400, 4)),
            phrase("disappointed", range(90)),
        ),
        LABELS,
        "negative",
        20,
    )
    assert [finding.phrase.text for finding in ranking.findings] == ["zipper"]
    assert [finding.phrase.text for finding in ranking.verdicts] == ["disappointed"]
    effect = ranking.findings[0].effect
    assert (effect.reviews, effect.share) == (60, 1.0)
    assert effect.other_share == pytest.approx(40 / 340)
    assert effect.excess == pytest.approx(60 * (1 - 40 / 340))
    assert len(ranking.findings[0].examples) == 2


def test_p_values_are_corrected_for_all_phrases() -> None:
    phrases = [
        phrase("zipper", range(12)),
        phrase("seam", range(85, 105)),
        *(phrase(f"w{i}", range(i, 400, 9)) for i in range(9)),
    ]
    ranking = rank(corpus_of(*phrases), LABELS, "negative", 20)
    raw = [fisher_exact(sum(i < 100 for i in one.reviews.tolist()), len(one.reviews), 100, 400) for one in phrases]
    found = {finding.phrase.text: finding.effect.p_value for finding in ranking.findings}
    assert ranking.n_tested == 11
    assert found["zipper"] == pytest.approx(holm(raw)[0])
    assert found["zipper"] > raw[0]


def test_rows_without_label_and_other_groups_do_not_count() -> None:
    labels: list[str | None] = [*LABELS[:350], *[None] * 50]
    rows = np.arange(400) % 2 == 0
    [finding] = rank(corpus_of(phrase("zipper", range(60))), labels, "negative", 20, rows).findings
    assert finding.effect.reviews == 30
    assert finding.effect.other_share == pytest.approx(20 / 145)


@pytest.mark.parametrize(("longer", "expected"), [(50, ["too big"]), (20, ["big"])])
def test_of_two_phrases_that_contain_each_other_one_is_listed(longer: int, expected: list[str]) -> None:
    ranking = rank(corpus_of(phrase("big", range(60)), phrase("too big", range(longer))), LABELS, "negative", 20)
    assert [finding.phrase.text for finding in ranking.findings] == expected


def test_of_phrases_in_the_same_reviews_the_first_is_listed() -> None:
    phrases = [phrase("photo", range(60)), phrase("color", range(58)), phrase("seam", range(50, 95))]
    ranking = rank(corpus_of(*phrases), LABELS, "negative", 20)
    assert [finding.phrase.text for finding in ranking.findings] == ["photo", "seam"]


def test_no_phrase_in_all_reviews_is_compared_with_nothing() -> None:
    assert rank(corpus_of(phrase("this", range(400))), LABELS, "negative", 20).n_tested == 0
    assert measure(3, 1, 3, 1).difference == 0
