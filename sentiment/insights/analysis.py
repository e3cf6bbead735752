"""Find what customers are unhappy with, where and since when: the phrases of reviews, by slice and by month."""

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentiment.common.errors import InputError
from sentiment.common.params import read_yaml
from sentiment.common.tables import LABELS
from sentiment.data.readers import InputBatch, as_string
from sentiment.data.values import label_key, read_rating, read_time, scale_end
from sentiment.evaluation.significance import ALPHA
from sentiment.inference.classifier import SentimentClassifier
from sentiment.insights.counting import Corpus, Phrase, PhraseCounter
from sentiment.insights.ranking import Ranking, fisher_exact, rank

Bools = NDArray[np.bool_]

MAX_VALUES = 12  # of a column of slices: those with most reviews
MIN_SLICE = 50  # reviews of a slice
MIN_MONTH = 20  # reviews of a month
MIN_SLICE_SUPPORT = 10  # reviews of a slice that have a phrase
TOP_OF_SLICE = 5
SHARE_OF_REVIEWS = 0.001  # that must have a phrase, by default; and at least
MIN_SUPPORT = 5

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelColumn:
    """A column of ratings or labels.

    Attributes:
        name: of the column.
        labels: "negative", "positive", or None for a label to ignore, by its `label_key`; empty for ratings.
        positive_above: a rating above it is positive.
        scale: the lowest and the highest rating; another has no label.
        drop_ratings: ratings that are neither.
    """

    name: str
    labels: Mapping[str, str | None]
    positive_above: float = 3.0
    scale: tuple[float, float] = (1.0, 5.0)
    drop_ratings: tuple[float, ...] = ()

    def read(self, value: Any) -> str | None:
        """Return the label of a row; None where it has none.

        >>> stars = LabelColumn("Rating", {})
        >>> stars.read("2 stars"), stars.read(""), stars.read("7"), stars.read("4/10")
        ('negative', None, None, None)
        """
        written = as_string(value)
        if self.labels:
            return self.labels.get(label_key(written))
        (lowest, highest), rating = self.scale, read_rating(written)
        if not lowest <= rating <= highest or rating in self.drop_ratings:  # NaN is in no interval
            return None
        return LABELS[rating > self.positive_above] if scale_end(written) in (None, highest) else None


def label_column(params: Path, columns: Collection[str]) -> LabelColumn | None:
    """Return the column that section `prepare` of params.yaml names; None where the file or this table lacks it.

    Raises:
        ParamsError: the file is not valid YAML.
    """
    sections: Any = read_yaml(params.read_bytes(), str(params)) if params.is_file() else {}
    section: Any = sections.get("prepare") if isinstance(sections, dict) else {}
    if not isinstance(section, dict):
        return None
    name = section.get("label_column") or section.get("rating_column")
    if not isinstance(name, str) or name not in columns:
        return None
    if not section.get("label_column"):
        scale = section.get("rating_min", 1.0), section.get("rating_max", 5.0)
        dropped = tuple(section.get("drop_ratings") or ())
        return LabelColumn(name, {}, section.get("positive_above", 3.0), scale, dropped)
    named = {label_key(one): None for one in section.get("ignore") or ()}
    of_label = {label_key(one): label for label in LABELS for one in section.get(label) or ()}
    return LabelColumn(name, {**named, **of_label})


@dataclass(frozen=True)
class Settings:
    """What is asked of the reviews.

    Attributes:
        labels: to explain.
        by: columns of slices.
        time: column of dates; None for none.
        time_format: of the dates; None for the forms that `data.values.read_time` knows.
        top: rows of a table, at most.
        min_support: reviews that have a phrase; None for one of a thousand, at least 5.
    """

    labels: tuple[str, ...] = LABELS[:1]
    by: tuple[str, ...] = ()
    time: str | None = None
    time_format: str | None = None
    top: int = 20
    min_support: int | None = None


@dataclass(frozen=True)
class Group:
    """The reviews with one value of a column, or of one month, and what pulls them to a label.

    Attributes:
        column, value: that they have in common.
        reviews: their number.
        labeled: of these, those with the label.
        phrases: the findings of the slice, those of most excess first; empty for a month.
        shares: share of the reviews that have the label and the phrase, for each finding of all reviews.
    """

    column: str
    value: str
    reviews: int
    labeled: int
    phrases: tuple[str, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True)
class Contrast:
    """Where, or since when, reviews with a phrase and a label are more frequent.

    Attributes:
        column, value: of the slice; or the column of dates and the first month.
        share: of the reviews there.
        other_share: of the reviews elsewhere, or before.
        is_time: whether it is a month.
    """

    column: str
    value: str
    share: float
    other_share: float
    is_time: bool = False


@dataclass(frozen=True)
class Direction:
    """What pulls reviews to one label.

    Attributes:
        slices: by column.
        months: in their order; empty without a column of dates.
        where: for each finding, the slice in which it is most frequent, where that is more than chance.
        since: for each finding, the month from which on it is more frequent, where that is more than chance.
    """

    ranking: Ranking
    slices: Mapping[str, Sequence[Group]]
    months: Sequence[Group]
    where: Sequence[Contrast | None]
    since: Sequence[Contrast | None]


@dataclass(frozen=True)
class Insights:
    """What a table of reviews says.

    Attributes:
        source: name of the file.
        label_source: the column that the labels are from; None where the classifier predicted them.
        rows: read.
        skipped: rows that are left out, by reason.
        reviews: that count.
        labeled: how many of them have each label.
        directions: one for each label that is asked for.
        corpus: the reviews, whose totals add up.
    """

    source: str
    label_source: str | None
    rows: int
    skipped: Mapping[str, int]
    reviews: int
    labeled: Mapping[str, int]
    directions: Sequence[Direction]
    corpus: Corpus

    @property
    def name(self) -> str:
        """Name of the file, without its folder."""
        return PurePosixPath(self.source).name

    def as_mapping(self) -> dict[str, Any]:
        """Return what is written as JSON."""
        plain = {
            name: getattr(self, name) for name in ("source", "label_source", "rows", "skipped", "reviews", "labeled")
        }
        return plain | {
            "contributions": asdict(self.corpus.totals),
            "labels": {direction.ranking.label: _direction_mapping(direction) for direction in self.directions},
        }


def _direction_mapping(direction: Direction) -> dict[str, Any]:
    ranking = direction.ranking
    findings = [
        finding.as_mapping() | {"where": where and asdict(where), "since": since and asdict(since)}
        for finding, where, since in zip(ranking.findings, direction.where, direction.since, strict=True)
    ]
    return {
        "phrases_tested": ranking.n_tested,
        "findings": findings,
        "verdicts": [finding.as_mapping() for finding in ranking.verdicts],
        "slices": {column: [asdict(group) for group in groups] for column, groups in direction.slices.items()},
        "months": [asdict(group) for group in direction.months],
    }


class Collector:
    """Labels reviews batch by batch, and collects what insights need of them."""

    def __init__(self, classifier: SentimentClassifier, column: LabelColumn | None, settings: Settings) -> None:
        self._classifier, self._column, self._settings = classifier, column, settings
        self._counter = PhraseCounter(classifier)
        self._labels: list[str | None] = []
        self._values: dict[str, list[str]] = {name: [] for name in settings.by}
        self._months: list[str] = []
        self._wrong_time = ""
        self.rows = 0
        self.skipped: Counter[str] = Counter()

    def add(self, batch: InputBatch) -> None:
        """Add the rows of a batch; those that are broken, or have no text or label, are counted."""
        self.rows += len(batch.texts)
        cleaned = self._classifier.clean(batch.texts)
        read = (
            [None] * len(cleaned)
            if self._column is None
            else map(self._column.read, batch.passthrough[self._column.name])
        )
        kept: list[int] = []
        for index, (text, label) in enumerate(zip(cleaned, read, strict=True)):
            if index in batch.errors:
                self.skipped["broken"] += 1
            elif not text:
                self.skipped["without text"] += 1
            elif self._column and label is None:
                self.skipped["without label"] += 1
            else:
                kept.append(index)
                self._labels.append(label)
        if not kept:
            return
        self._counter.add([cleaned[index] for index in kept])
        for name, values in self._values.items():
            column = batch.passthrough[name]
            values += [as_string(column[index]).strip() for index in kept]
        if self._settings.time:
            column = batch.passthrough[self._settings.time]
            self._months += [self._month(as_string(column[index]).strip()) for index in kept]

    def _month(self, value: str) -> str:
        """Return the month of a date as "2024-01"; "" where it is none."""
        try:
            return f"{read_time(value, self._settings.time_format):%Y-%m}"
        except ValueError as error:
            self._wrong_time = self._wrong_time or f"found {value!r}, expected {error}"
            return ""

    def finish(self, source: str) -> Insights:
        """Return what the reviews say.

        Raises:
            InputError: no row is left, or the column of dates has none.
        """
        settings, n_reviews = self._settings, self._counter.n_reviews
        if not n_reviews:
            counts = ", ".join(f"{count:,} {reason}" for reason, count in self.skipped.items()) or "no rows"
            raise InputError(f"{source}: no reviews are left ({counts})")
        if settings.time and not any(self._months):
            raise InputError(f"{source}: column '{settings.time}' has no date: {self._wrong_time}; see --time-format")
        if without := self._months.count(""):
            log.warning("insights: %d reviews without a date are in no month (%s)", without, self._wrong_time)
        support = settings.min_support or max(MIN_SUPPORT, round(n_reviews * SHARE_OF_REVIEWS))
        corpus = self._counter.finish(support)
        # by the threshold alone: a base rate has no "unsure"
        predicted = self._classifier.label(corpus.probabilities, self._classifier.threshold)
        labels = self._labels if self._column else predicted
        groups = {name: groups_of(values, MIN_SLICE, MAX_VALUES) for name, values in self._values.items()}
        months = dict(sorted(groups_of(self._months, MIN_MONTH).items())) if settings.time else {}
        return Insights(
            source=source,
            label_source=self._column.name if self._column else None,
            rows=self.rows,
            skipped=dict(self.skipped),
            reviews=n_reviews,
            labeled={label: labels.count(label) for label in LABELS},
            directions=[direction(corpus, labels, label, settings, groups, months) for label in settings.labels],
            corpus=corpus,
        )


def groups_of(values: Sequence[str], min_reviews: int, at_most: int | None = None) -> dict[str, Bools]:
    """Return for each value which reviews have it; those of most reviews first, without those of too few."""
    counts = Counter(values)
    array = np.array(values, dtype=object)
    chosen = [value for value, count in counts.most_common() if value and count >= min_reviews][:at_most]
    return {value: array == value for value in chosen}


def direction(
    corpus: Corpus,
    labels: Sequence[str | None],
    label: str,
    settings: Settings,
    groups: Mapping[str, Mapping[str, Bools]],
    months: Mapping[str, Bools],
) -> Direction:
    """Return what pulls the reviews to a label."""
    ranking = rank(corpus, labels, label, settings.top)
    has_label = np.array([one == label for one in labels])
    with_phrase = [labeled_with(finding.phrase, has_label) for finding in ranking.findings]

    def group(column: str, value: str, rows: Bools, phrases: tuple[str, ...] = ()) -> Group:
        n = int(rows.sum())
        shares = tuple(float(one[rows].sum()) / n for one in with_phrase)
        return Group(column, value, n, int(has_label[rows].sum()), phrases, shares)

    def top_phrases(rows: Bools, n_groups: int) -> tuple[str, ...]:
        inside = rank(corpus, labels, label, TOP_OF_SLICE, rows, MIN_SLICE_SUPPORT, n_groups)
        return tuple(finding.phrase.text for finding in inside.findings)

    slices = {
        column: [group(column, value, rows, top_phrases(rows, len(values))) for value, rows in values.items()]
        for column, values in groups.items()
    }
    monthly = [group(str(settings.time), value, rows) for value, rows in months.items()]
    n_tests = max(1, len(with_phrase)) * sum(map(len, groups.values()))
    where = [_most_frequent(one, groups, n_tests) for one in with_phrase]
    since = [_since(one, str(settings.time), months, len(with_phrase)) for one in with_phrase]
    return Direction(ranking, slices, monthly, where, since)


def labeled_with(phrase: Phrase, has_label: Bools) -> Bools:
    """Return whether each review has the phrase and the label. # (n_reviews,)"""
    found = np.zeros(len(has_label), np.bool_)
    found[phrase.reviews] = True
    return found & has_label


def _most_frequent(found: Bools, groups: Mapping[str, Mapping[str, Bools]], n_tests: int) -> Contrast | None:
    """Return the slice in which reviews are found more often than elsewhere, that of the largest excess."""
    best, largest = None, 0.0
    for column, values in groups.items():
        for value, rows in values.items():
            contrast, p_value = _contrast(found, rows, ~rows, column, value)
            excess = (contrast.share - contrast.other_share) * int(rows.sum())
            if p_value * n_tests < ALPHA and excess > largest:
                best, largest = contrast, excess
    return best


def _since(found: Bools, column: str, months: Mapping[str, Bools], n_phrases: int) -> Contrast | None:
    """Return the month from which on reviews are found more often than before: that of the least p value."""
    names = list(months)
    best, least = None, ALPHA / max(1, n_phrases * (len(names) - 1))
    for first in range(1, len(names)):
        before, after = (
            np.logical_or.reduce([months[name] for name in part]) for part in (names[:first], names[first:])
        )
        contrast, p_value = _contrast(found, after, before, column, names[first])
        if contrast.share > contrast.other_share and p_value < least:
            best, least = replace(contrast, is_time=True), p_value
    return best


def _contrast(found: Bools, rows: Bools, others: Bools, column: str, value: str) -> tuple[Contrast, float]:
    """Return the shares of reviews that are found, in `rows` and in `others`, and p of Fisher's exact test."""
    n, other_n = int(rows.sum()), int(others.sum())
    k, other_k = int(found[rows].sum()), int(found[others].sum())
    contrast = Contrast(column, value, k / max(1, n), other_k / max(1, other_n))
    return contrast, fisher_exact(k, n, k + other_k, n + other_n)
