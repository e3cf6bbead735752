"""Read the tables of the split as texts to learn from: whole reviews and excerpts, with their targets."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sentiment.common.tables import read_column
from sentiment.finetuning.training import targets_of

SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class Examples:
    """Reviews, and excerpts of them.

    Attributes:
        texts: of all examples.
        review: the number of the review that a text is or is taken from. # (n_examples,)
        is_excerpt: whether a text is only a part of its review. # (n_examples,)
        targets: the label, and whether the rating is above each threshold, of the review. # (n_examples, n_targets)
    """

    texts: list[str]
    review: NDArray[np.int64]
    is_excerpt: NDArray[np.bool_]
    targets: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def reviews(self) -> list[str]:
        """Return the whole reviews, by their numbers."""
        return [text for text, is_excerpt in zip(self.texts, self.is_excerpt, strict=True) if not is_excerpt]


def excerpts(text: str, n: int, rng: np.random.Generator) -> list[str]:
    """Return up to `n` different runs of sentences of a text, none of them the whole.

    >>> excerpts("Nice. Too long. Too wide.", 9, np.random.default_rng(0))
    ['Nice.', 'Nice. Too long.', 'Too long.', 'Too long. Too wide.', 'Too wide.']
    """
    sentences = SENTENCE_END.split(text)
    count = len(sentences)
    runs = [(start, end) for start in range(count) for end in range(start + 1, count + 1) if end - start < count]
    chosen = sorted(rng.choice(len(runs), min(n, len(runs)), replace=False).tolist()) if runs else []
    return [" ".join(sentences[start:end]) for start, end in (runs[index] for index in chosen)]


def read_examples(table: Path, thresholds: Sequence[float], n_excerpts: int, seed: int) -> Examples:
    """Read a split and make `n_excerpts` excerpts of each of its reviews.

    Args:
        table: a table of the split, such as data/split/train.parquet.
        thresholds: values that a rating can be above; a target for each of them.
    """
    rng = np.random.default_rng(seed)
    reviews = read_column(table, "text").to_pylist()
    rating = read_column(table, "rating").to_numpy()
    labels = read_column(table, "label").to_numpy()
    targets = targets_of(labels, rating, thresholds)
    texts, review, is_excerpt = [], [], []
    for number, whole in enumerate(reviews):
        parts = excerpts(whole, n_excerpts, rng)
        texts += [whole, *parts]
        review += [number] * (1 + len(parts))
        is_excerpt += [False] + [True] * len(parts)
    return Examples(texts, np.array(review), np.array(is_excerpt), targets[review])
