"""Assign a review to train, val or test: by a hash of its text or of a column, by time, or by a column that says it.

`NearDuplicates` counts the reviews of val and test that have a near duplicate in train, by MinHash over shingles of
three words. Two texts are taken for near duplicates where the Jaccard similarity of their shingles is about 0.8 or
more: found are 4% of the pairs of 0.6, 16% of 0.7, 49% of 0.8, 92% of 0.9 and all of 1. All of it is arithmetic on
integers, so the counts are equal on every processor. The MinHash values are those of the library datasketch, as a test
compares; its loop over texts took four times as long, and its import another second.
"""

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import chain
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from sentiment.common.errors import InputError
from sentiment.common.params import StageParams
from sentiment.common.tables import SPLITS
from sentiment.data.text import Hashes, hash64, normalize_text
from sentiment.data.values import MAX_UNKNOWN, read_time, shown_counts

SplitIndices = NDArray[np.uint8]  # of `SPLITS`, or `LEFT_OUT`
TRAIN, VAL, TEST = range(len(SPLITS))
LEFT_OUT = len(SPLITS)
SPLIT_NAMES = {
    "train": TRAIN, "val": VAL, "validation": VAL, "valid": VAL, "dev": VAL, "test": TEST,
}  # fmt: skip
EXPECTED_NAMES = "train, val (or validation, valid, dev) or test"
MAX_FOLDS = 20


class SplitParams(StageParams):
    """Section `split` of params.yaml.

    Attributes:
        salt: hashed with the text or the group; another salt gives a different split.
        val, test: share of the reviews, or of the groups, in each of the two splits; the others are for training.
        group_column: of products, customers or the like; all reviews of a group are in one split.
        time_column: of dates; `val_from` and `test_from` say where val and test begin.
        time_format: of the dates, for `datetime.strptime`; None for the forms that `read_time` knows.
        column: that says train, val or test itself.
        folds: 0, or in how many parts all reviews are tested, each by a classifier that was trained on the others.
    """

    salt: str = Field(min_length=1)
    val: float = Field(gt=0, lt=1)
    test: float = Field(gt=0, lt=1)
    group_column: str | None = Field(default=None, min_length=1)
    time_column: str | None = Field(default=None, min_length=1)
    val_from: str | None = None
    test_from: str | None = None
    time_format: str | None = Field(default=None, min_length=1)
    column: str | None = Field(default=None, min_length=1)
    folds: int = Field(default=0, ge=0, le=MAX_FOLDS)

    @property
    def by(self) -> Literal["text", "group", "time", "column"]:
        """What decides a review's split."""
        return "group" if self.group_column else "time" if self.time_column else "column" if self.column else "text"

    @property
    def key(self) -> str:
        """The name of the key that names the column, as in `split.group_column`; empty for the text."""
        return {"text": "", "column": "split.column"}.get(self.by, f"split.{self.by}_column")

    @property
    def column_name(self) -> str:
        """The column that decides; empty for the text."""
        return self.group_column or self.time_column or self.column or ""

    @field_validator("val_from", "test_from", mode="before")
    @classmethod
    def _in_quotes(cls, value: Any) -> Any:
        if isinstance(value, dict):  # YAML has dates of its own
            raise ValueError("the date in quotes, as in '2024-01-31': DVC refuses it without")
        return value

    @field_validator("val_from", "test_from")
    @classmethod
    def _is_iso(cls, value: str | None) -> str | None:
        try:
            if value is not None:
                datetime.fromisoformat(value)
        except ValueError:
            raise ValueError("an ISO date or date-time, such as '2024-01-31' or '2024-01-31T12:30:00Z'") from None
        return value

    @model_validator(mode="after")
    def _consistent(self) -> "SplitParams":
        if self.val + self.test >= 1:
            raise ValueError("val + test below 1, or nothing is left to train on")
        if self.folds in (1, 2):  # one is tested, the next one is val, and the others are trained on
            raise ValueError("folds of 3 or more, or 0 for one split")
        if self.folds and (self.time_column or self.column):
            raise ValueError("folds of 0 with time_column or column: they say themselves what is tested")
        columns = [key for key in ("group_column", "time_column", "column") if getattr(self, key)]
        if len(columns) > 1:
            raise ValueError(f"at most one of group_column, time_column and column, found {' and '.join(columns)}")
        if self.time_column and not (self.val_from and self.test_from):
            raise ValueError("val_from and test_from with time_column")
        for key in ("val_from", "test_from", "time_format"):
            if getattr(self, key) and not self.time_column:
                raise ValueError(f"time_column with {key}, or null for both")
        if self.val_from and self.test_from and read_time(self.val_from) >= read_time(self.test_from):
            raise ValueError(f"val_from before test_from, found {self.val_from} and {self.test_from}")
        return self


def text_hash(text: str, salt: str) -> int:
    """Return the 64-bit hash of the salt and the normalized text; `assign_split` reads it."""
    return hash64(salt, normalize_text(text))


def assign_split(hashed: int, params: SplitParams) -> int:
    """Return `TRAIN`, `VAL` or `TEST` for a hash of `text_hash`.

    u = hash / 2**64 is uniform in [0, 1): test below `test`, val in the next `val`, train above.

    >>> params = SplitParams(salt="reviews-v1", val=0.1, test=0.1)
    >>> [SPLITS[assign_split(hashed, params)] for hashed in (0, 2**64 // 8, 2**64 - 1)]
    ['test', 'val', 'train']
    """
    u = hashed / 2**64
    if u < params.test:
        return TEST
    return VAL if u < params.test + params.val else TRAIN


def assign_folds(values: Sequence[str], params: SplitParams) -> NDArray[np.int8]:
    """Return the fold of each review, from 0, by the hash of its text or of its group. # (n_values,)

    >>> assign_folds(["Soft", "soft ", "Warm"], SplitParams(salt="reviews-v1", val=0.1, test=0.1, folds=5))
    array([4, 4, 0], dtype=int8)
    """
    hashed = text_hash if params.by == "text" else lambda value, salt: hash64(salt, value.strip())
    folds = (hashed(value, params.salt) * params.folds >> 64 for value in values)
    return np.fromiter(folds, np.int8, len(values))


def splits_by_text(texts: Sequence[str], params: SplitParams) -> SplitIndices:
    """Return the split of each review by the hash of its text. # (n_texts,)"""
    return np.fromiter((assign_split(text_hash(text, params.salt), params) for text in texts), np.uint8, len(texts))


class ColumnSplitter:
    """Assign reviews by the column that the params name, some rows after others.

    A row without a value, or with one that names no split, is counted; `check` stops where there is one.

    Attributes:
        n_rows: so far.
        n_missing: rows of them without a value.
        unknown: values that name no split, with the number of their rows.
    """

    def __init__(self, params: SplitParams, table: str) -> None:
        """Take the params, which name a column, and the name of the table's file, for messages."""
        self.n_rows = self.n_missing = 0
        self.unknown: Counter[str] = Counter()
        self._params, self._table = params, table
        self._limits = [read_time(limit) for limit in (params.val_from, params.test_from) if limit]

    def assign(self, values: Sequence[object]) -> SplitIndices:
        """Return the split of each row by its value. # (n_rows,)

        Raises:
            InputError: a value is no date, or there are too many values that name no split.
        """
        stripped = ["" if value is None else str(value).strip() for value in values]
        self.n_missing += stripped.count("")
        by_value = {value: self._split_of(value, stripped) for value in dict.fromkeys(stripped)}
        if self._params.by == "column":
            self.unknown.update(value[:40] for value in stripped if value and value.casefold() not in SPLIT_NAMES)
            if len(self.unknown) > MAX_UNKNOWN:
                raise self._unknown_error()
        self.n_rows += len(values)
        return np.fromiter(map(by_value.__getitem__, stripped), np.uint8, len(stripped))

    def _split_of(self, value: str, values: Sequence[str]) -> int:
        """Return the split of a value; train where `check` will refuse it."""
        if not value:
            return TRAIN
        if self._params.by == "group":
            return assign_split(hash64(self._params.salt, value), self._params)
        if self._params.by == "column":
            return SPLIT_NAMES.get(value.casefold(), TRAIN)
        try:
            when = read_time(value, self._params.time_format)
        except ValueError as error:
            row = self.n_rows + values.index(value) + 1
            where = f"{self._table}: row {row}, column '{self._params.column_name}'"
            raise InputError(f"{where}: found {value[:40]!r}, expected {error}") from None
        return sum(when >= limit for limit in self._limits)  # TRAIN, VAL and TEST are 0, 1 and 2

    def check(self) -> None:
        """Raise InputError where a row has no value, or one that names no split."""
        if self.n_missing:
            raise InputError(
                f"{self._params.key} '{self._params.column_name}': {self.n_missing:,} of {self.n_rows:,} rows have no "
                "value, which is needed to assign them; fill it in or remove these rows, or split by text "
                f"({self._params.key}=null)"
            )
        if self.unknown:
            raise self._unknown_error()

    def _unknown_error(self) -> InputError:
        """Return the error that lists values which name no split."""
        shown = shown_counts(self.unknown)
        return InputError(f"split.column '{self._params.column}' has {shown}, expected {EXPECTED_NAMES}")


def leave_out_shared_texts(splits: SplitIndices, hashes: Hashes) -> int:
    """Mark as `LEFT_OUT` each row of val and test whose text is in another split, too; return how many.

    Memory is 32 bytes a row at most, for sorted hashes.

    Args:
        splits: by row, (n_rows,); changed in place.
        hashes: of the normalized text of each row, (n_rows,).
    """
    by_split = {split: np.sort(hashes[splits == split]) for split in (TRAIN, VAL, TEST)}
    marked = []
    for split, others in ((VAL, (TRAIN, TEST)), (TEST, (TRAIN, VAL))):
        rows = np.flatnonzero(splits == split)
        is_shared = np.zeros(len(rows), np.bool_)
        for other in others:
            is_shared |= _are_in(by_split[other], hashes[rows])
        marked.append(rows[is_shared])
    splits[np.concatenate(marked)] = LEFT_OUT
    return sum(map(len, marked))


def leave_out_other_folds(splits: SplitIndices, folds: NDArray[np.int8], hashes: Hashes) -> int:
    """Mark as `LEFT_OUT` each row whose text is also in a fold of a lower number; return how many.

    Memory is about 40 bytes a row.

    Args:
        splits: by row, (n_rows,); changed in place.
        folds: of each row, (n_rows,).
        hashes: of the normalized text of each row, (n_rows,).
    """
    different, number_of_text = np.unique(hashes, return_inverse=True)
    lowest = np.full(len(different), np.iinfo(np.int8).max, np.int8)
    np.minimum.at(lowest, number_of_text, folds)
    is_other = folds > lowest[number_of_text]
    splits[is_other] = LEFT_OUT
    return int(is_other.sum())


def _are_in(ascending: Hashes, values: Hashes) -> NDArray[np.bool_]:
    """Return which values are in a sorted array. # (n_values,)"""
    if not len(ascending):
        return np.zeros(len(values), np.bool_)
    indices = np.searchsorted(ascending, values)
    return np.equal(ascending[np.minimum(indices, len(ascending) - 1)], values)


SHINGLE_WORDS = 3
BANDS, BAND_ROWS = 6, 10  # half of the pairs of similarity (1 - 0.5 ** (1 / 6)) ** (1 / 10) = 0.80 share a band
MAX_COMPARED = 100_000  # of more, a sample is looked at
PUNCTUATION = re.compile(r"[\W_]+")
MULTIPLIERS = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D], np.uint32)  # of the words in a shingle: xxHash's primes
BAND_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
WINDOW_BYTES = 16  # a power of 2

Uint32s = NDArray[np.uint32]
Starts = NDArray[np.int64]


def shingle_hashes(texts: Sequence[str]) -> tuple[Uint32s, Starts]:
    """Return the mixed hashes of all shingles, text by text, and where each text begins. # (n_shingles,), (n_texts,)

    Words end at white space and count without case and punctuation. A text has as many shingles as words, for those at
    its end are filled up with zeros.
    """
    words = [normalize_text(text).split() or [""] for text in texts]
    codes = {word: zlib.crc32(PUNCTUATION.sub("", word).encode()) for word in set(chain.from_iterable(words))}
    lengths = np.array([len(one) for one in words], np.int64)
    starts = np.cumsum(lengths) - lengths
    n_words, n_padding = int(lengths.sum()), SHINGLE_WORDS - 1
    indices = np.arange(n_words) + n_padding * np.repeat(np.arange(len(words)), lengths)
    padded = np.zeros(n_words + n_padding * len(words), np.uint32)
    padded[indices] = np.fromiter(map(codes.__getitem__, chain.from_iterable(words)), np.uint32, n_words)
    shingles = sum(padded[indices + index] * multiplier for index, multiplier in enumerate(MULTIPLIERS))
    return mix(np.asarray(shingles, np.uint32)), starts


def least_window_hashes(texts: Sequence[str]) -> Uint32s:
    """Return of each text the least hash of all `WINDOW_BYTES` bytes in a row, in a tenth of the time. # (n_texts,)"""
    encoded = [text.lower().encode() for text in texts]
    padding = bytes(WINDOW_BYTES)
    hashes = np.frombuffer(padding.join([*encoded, padding]), np.uint8).astype(np.uint32)
    multiplier, step = int(MULTIPLIERS[0]), 1
    while step < WINDOW_BYTES:
        hashes = hashes[:-step] * np.uint32(multiplier) + hashes[step:]
        multiplier, step = multiplier * multiplier & 0xFFFFFFFF, 2 * step
    lengths = np.array([len(one) for one in encoded], np.int64)
    starts = np.cumsum(lengths + WINDOW_BYTES) - lengths - WINDOW_BYTES
    ranges = np.stack([starts, starts + lengths], axis=1)  # without the windows that begin in the padding
    return np.asarray(np.minimum.reduceat(mix(hashes), ranges.ravel())[::2])


def mix(values: Uint32s) -> Uint32s:
    """Return each value as the finalizer of MurmurHash3 mixes it, a bijection. # (n,)"""
    values = (values ^ (values >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    values = (values ^ (values >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return values ^ (values >> np.uint32(16))


def permutations() -> tuple[Uint32s, Uint32s]:
    """Return a and b of each permutation h -> a * h + b modulo 2**32; datasketch draws the same. # (60,), (60,)"""
    generator = np.random.RandomState(1)  # its stream is frozen
    a = generator.randint(0, 1 << 31, BANDS * BAND_ROWS, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return a, generator.randint(0, 1 << 32, BANDS * BAND_ROWS, dtype=np.uint32)


def min_hashes(shingles: Uint32s, starts: Starts) -> Uint32s:
    """Return the MinHash values of each text. # (n_texts, 60)"""
    a, b = permutations()
    found = np.empty((len(starts), len(a)), np.uint32)
    for index in range(len(a)):
        found[:, index] = np.minimum.reduceat(shingles * a[index] + b[index], starts)
    return found


def band_hashes(values: Uint32s) -> NDArray[np.uint64]:
    """Return one hash for the values of each band. # (n_texts, 60) -> (n_texts, 6)"""
    bands = values.reshape(len(values), BANDS, BAND_ROWS).astype(np.uint64)
    hashes = np.zeros((len(values), BANDS), np.uint64)
    for index in range(BAND_ROWS):
        hashes = (hashes ^ bands[:, :, index]) * BAND_MULTIPLIER
        hashes ^= hashes >> np.uint64(32)
    return hashes


class NearDuplicates:
    """Collect the band hashes of reviews, some after others, 48 bytes each, and count at the end.

    Of more than `MAX_COMPARED` reviews, about that many are looked at. A review is chosen by the least hash of all
    pieces of its text: near duplicates mostly share it, so that they are chosen together, whatever the other reviews
    are.
    """

    def __init__(self, n_rows: int) -> None:
        """Take the number of all rows, which decides whether to take a sample."""
        self.is_sample = n_rows > MAX_COMPARED
        self._limit = np.uint32((MAX_COMPARED << 32) // n_rows) if self.is_sample else np.uint32(0)
        self._bands: list[NDArray[np.uint64]] = [np.empty((0, BANDS), np.uint64)]
        self._splits: list[NDArray[np.uint8]] = [np.empty(0, np.uint8)]

    def add(self, texts: Sequence[str], splits: NDArray[np.uint8]) -> None:
        """Look at more reviews: their texts, and the index in `SPLITS` of each; another number leaves one out."""
        is_chosen = splits < len(SPLITS)
        if self.is_sample and texts:
            # mixed again, for the least hash of a long text is smaller than that of a short one
            is_chosen &= mix(least_window_hashes(texts)) < self._limit
        if chosen := [texts[index] for index in np.flatnonzero(is_chosen).tolist()]:
            self._bands.append(band_hashes(min_hashes(*shingle_hashes(chosen))))
            self._splits.append(splits[is_chosen])

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return for val and test how many reviews were looked at, and how many have a near duplicate in train."""
        bands, splits = np.concatenate(self._bands), np.concatenate(self._splits)
        by_split = {name: bands[splits == index] for index, name in enumerate(SPLITS)}
        train = by_split.pop("train")
        found = {}
        for name, own in by_split.items():
            is_near = np.zeros(len(own), np.bool_)
            for band in range(BANDS):
                is_near |= np.isin(own[:, band], train[:, band])
            found[name] = (len(own), int(is_near.sum()))
        return found
