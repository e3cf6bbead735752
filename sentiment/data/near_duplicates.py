"""Count the reviews of val and test that have a near duplicate in train, by MinHash over shingles of three words.

    counter = NearDuplicates(n_rows)
    counter.add(texts, splits)
    counter.counts()

Two texts are taken for near duplicates where the Jaccard similarity of their shingles is about 0.8 or more: found are
4% of the pairs of 0.6, 16% of 0.7, 49% of 0.8, 92% of 0.9 and all of 1. All of it is arithmetic on integers, so the
counts are equal on every processor. The MinHash values are those of the library datasketch, as a test compares; its
loop over texts took four times as long, and its import another second.
"""

import re
import zlib
from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from sentiment.common.tables import SPLITS
from sentiment.data.text import normalize_text

SHINGLE_WORDS = 3
BANDS, BAND_ROWS = 6, 10  # half of the pairs of similarity (1 - 0.5 ** (1 / 6)) ** (1 / 10) = 0.80 share a band
MAX_ROWS = 100_000  # of more, a sample is looked at
PUNCTUATION = re.compile(r"[\W_]+")
MULTIPLIERS = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D], np.uint32)  # of the words in a shingle: xxHash's primes
BAND_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
WINDOW_BYTES = 16  # a power of 2

Values = NDArray[np.uint32]
Starts = NDArray[np.int64]


def shingle_hashes(texts: Sequence[str]) -> tuple[Values, Starts]:
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


def least_window_hashes(texts: Sequence[str]) -> Values:
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


def mix(values: Values) -> Values:
    """Return each value as the finalizer of MurmurHash3 mixes it, a bijection. # (n,)"""
    values = (values ^ (values >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    values = (values ^ (values >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return values ^ (values >> np.uint32(16))


def permutations() -> tuple[Values, Values]:
    """Return a and b of each permutation h -> a * h + b modulo 2**32; datasketch draws the same. # (60,), (60,)"""
    generator = np.random.RandomState(1)  # its stream is frozen
    a = generator.randint(0, 1 << 31, BANDS * BAND_ROWS, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return a, generator.randint(0, 1 << 32, BANDS * BAND_ROWS, dtype=np.uint32)


def min_hashes(shingles: Values, starts: NDArray[np.int64]) -> Values:
    """Return the MinHash values of each text. # (n_texts, 60)"""
    a, b = permutations()
    found = np.empty((len(starts), len(a)), np.uint32)
    for index in range(len(a)):
        found[:, index] = np.minimum.reduceat(shingles * a[index] + b[index], starts)
    return found


def band_hashes(values: Values) -> NDArray[np.uint64]:
    """Return one hash for the values of each band. # (n_texts, 60) -> (n_texts, 6)"""
    bands = values.reshape(len(values), BANDS, BAND_ROWS).astype(np.uint64)
    hashes = np.zeros((len(values), BANDS), np.uint64)
    for index in range(BAND_ROWS):
        hashes = (hashes ^ bands[:, :, index]) * BAND_MULTIPLIER
        hashes ^= hashes >> np.uint64(32)
    return hashes


class NearDuplicates:
    """Collect the band hashes of reviews, some after others, 48 bytes each, and count at the end.

    Of more than `MAX_ROWS` reviews, about that many are looked at. A review is chosen by the least hash of all pieces
    of its text: near duplicates mostly share it, so that they are chosen together, whatever the other reviews are.
    """

    def __init__(self, n_rows: int) -> None:
        """Take the number of all rows, which decides whether to take a sample."""
        self.is_sample = n_rows > MAX_ROWS
        self._limit = np.uint32((MAX_ROWS << 32) // n_rows) if self.is_sample else np.uint32(0)
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
