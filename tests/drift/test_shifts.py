"""Drift between reviews: none between halves of the real reviews; other garments, typos, language and length."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.csv as pa_csv
import pytest
from numpy.typing import NDArray

from sentiment.drift.shifts import MAX_REVIEWS, Sample, content_auc, evenly, shifts

if TYPE_CHECKING:
    from pathlib import Path

    from sentiment.inference.classifier import SentimentClassifier

N_HALVES = 20  # 200 take three minutes
MAX_ALARMS = 2  # of them; at an alpha of 1% more have a chance below 0.2%


def sample(lengths: Sequence[float], features: NDArray[np.float32] | None = None) -> Sample:
    """Return a sample of reviews of which only the lengths, and the features where they are given, differ."""
    n = len(lengths)
    if features is None:
        features = np.random.default_rng(n).standard_normal((n, 4)).astype(np.float32)
    same = np.linspace(0, 1, n)
    measures = {"length (words)": np.array(lengths, float), "tokens per word": same, "probability of positive": same}
    return Sample(measures, features)


def alarms(known: Sample, new: Sample) -> list[str]:
    return [one.name for one in shifts({"": (known, new)}) if one.alarm]


def test_a_difference_alarms_only_if_it_is_large() -> None:
    rng = np.random.default_rng(0)
    known = sample(rng.normal(50, 10, 2_000).tolist())
    assert alarms(known, sample(rng.normal(60, 10, 1_900).tolist())) == ["length (words)"]
    slightly = shifts({"": (known, sample(rng.normal(51.5, 10, 1_900).tolist()))})[0]
    assert slightly.p_value < 0.02, "more than chance, but for the correction"
    assert not slightly.alarm


def test_few_reviews_alarm_only_if_it_is_more_than_chance() -> None:
    known = sample(list(range(2_000)))
    assert not alarms(known, sample([0, 1_000, 1_100, 1_900, 1_950]))
    assert shifts({"": (known, sample([0, 1_000, 1_100, 1_900, 1_950]))})[0].distance > 0.2


def test_content_is_what_a_classifier_can_tell_apart() -> None:
    rng = np.random.default_rng(0)
    known, same, other = (rng.standard_normal((400, 8)).astype(np.float32) for _ in range(3))
    other[:, 3] += 1.0
    auc, p_value = content_auc(known, other)
    assert auc > 0.7
    assert p_value < 1e-6
    auc, p_value = content_auc(known, same)
    assert abs(auc - 0.5) < 0.1
    assert p_value > 0.001


def test_p_is_corrected_for_every_test_of_every_group() -> None:
    rng = np.random.default_rng(1)
    known = sample(rng.normal(50, 10, 500).tolist())
    new = sample(rng.normal(53, 10, 300).tolist())
    alone = shifts({"": (known, new)})[0]
    among = shifts({str(number): (known, new) for number in range(10)})[0]
    assert alone.p_value < among.p_value
    assert (alone.known, alone.new, alone.distance) == (among.known, among.new, among.distance)


@pytest.fixture(scope="module")
def table(reviews_csv: "Path") -> dict[str, list[str]]:
    """Texts and kinds of garments of the real reviews that have a text."""
    columns = pa_csv.read_csv(reviews_csv, parse_options=pa_csv.ParseOptions(newlines_in_values=True)).select(
        ["Review Text", "Class Name"]
    )
    rows = [row for row in columns.to_pylist() if row["Review Text"]]
    return {"text": [row["Review Text"] for row in rows], "kind": [row["Class Name"] for row in rows]}


@pytest.mark.slow
def test_halves_of_real_reviews_do_not_alarm_and_other_reviews_do(
    sentiment: "SentimentClassifier", table: dict[str, list[str]]
) -> None:
    rng = np.random.default_rng(0)
    texts = [table["text"][row] for row in rng.permutation(len(table["text"]))[: 2 * MAX_REVIEWS]]
    everything = Sample.of(sentiment, texts)
    fired = 0
    for _ in range(N_HALVES):
        order = rng.permutation(len(texts))
        fired += bool(alarms(everything[order[:MAX_REVIEWS]], everything[order[MAX_REVIEWS:]]))
    assert fired <= MAX_ALARMS

    known = everything[np.arange(MAX_REVIEWS)]
    dresses, jackets = (
        [text for text, kind in zip(table["text"], table["kind"], strict=True) if kind == name][:MAX_REVIEWS]
        for name in ("Dresses", "Jackets")
    )
    assert "content" in alarms(Sample.of(sentiment, dresses), Sample.of(sentiment, jackets))
    new = texts[MAX_REVIEWS:]
    assert "tokens per word" in alarms(known, Sample.of(sentiment, [with_typos(text, rng) for text in new]))
    assert "length (words)" in alarms(known, Sample.of(sentiment, [f"{text} {text}" for text in new]))
    assert "tokens per word" in alarms(known, Sample.of(sentiment, german(MAX_REVIEWS, rng)))


def with_typos(text: str, rng: np.random.Generator) -> str:
    """Return a text in which one word in ten has two letters swapped."""
    words = text.split(" ")
    for number, word in enumerate(words):
        if len(word) > 3 and rng.random() < 0.1 * len(words) / max(1, sum(len(one) > 3 for one in words)):
            at = int(rng.integers(1, len(word) - 1))
            words[number] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return " ".join(words)


def german(n: int, rng: np.random.Generator) -> list[str]:
    """Return German texts of about the length of the real reviews."""
    sentences = [
        "Das Kleid sitzt wunderbar, der Stoff wirkt angenehm weich.",
        "Leider fällt die Bluse viel zu klein aus.",
        "Nach der ersten Wäsche war der Pullover eingelaufen.",
        "Die Farbe gefällt mir sehr gut, ich würde es wieder kaufen.",
        "Für diesen Preis hätte ich mehr Qualität erwartet.",
        "Ich habe es zurückgeschickt, weil die Nähte aufgegangen sind.",
    ]
    return [" ".join(sentences[int(number)] for number in rng.integers(len(sentences), size=7)) for _ in range(n)]


def test_rows_are_spread_evenly() -> None:
    assert evenly(10_000_000, 4).tolist() == [0, 2_500_000, 5_000_000, 7_500_000]
