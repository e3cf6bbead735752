"""How a review is shown to the student: with or without its title, whole or cut short, some tokens hidden."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sentiment.encoder.transformers import padded
from tools.pretrain.config import Recipe
from tools.pretrain.vocabulary import FIRST, LAST, MASK, PAD, SPECIAL

REVIEWS_PER_SORT = 2_048  # sorted by length together: more pad less, but then the same reviews always meet


@dataclass(frozen=True)
class Batch:
    """Which reviews, and one view of each: `ids` and `mask` (None if nothing is padding), shape (reviews, tokens)."""

    reviews: NDArray[np.int64]
    ids: NDArray[np.int64]
    mask: NDArray[np.int64] | None


@dataclass(frozen=True)
class Views:
    """Draws views of reviews; equal generators draw equal views.

    Attributes:
        texts: pieces of title and body together.
        bodies: pieces of the body alone.
    """

    texts: list[list[int]]
    bodies: list[list[int]]
    recipe: Recipe

    def view(self, review: int, rng: np.random.Generator) -> list[int]:
        """Return one view of one review, special tokens included."""
        recipe = self.recipe
        pieces = self.texts[review] if rng.random() < recipe.title_shown else self.bodies[review]
        cut = rng.random() < recipe.cut_short
        longest = int(rng.integers(recipe.shortest, recipe.short)) if cut else recipe.max_length
        shown = np.array(pieces[: longest - 2], dtype=np.int64)
        shown[rng.random(len(shown)) < recipe.masked] = SPECIAL.index(MASK)
        return [SPECIAL.index(FIRST), *shown.tolist(), SPECIAL.index(LAST)]

    def epoch(self, rng: np.random.Generator) -> Iterator[Batch]:
        """Yield every review once, in batches of like length, in random order."""
        order = rng.permutation(len(self.texts))
        shown = [self.view(int(review), rng) for review in order]
        groups = []
        for start in range(0, len(order), REVIEWS_PER_SORT):
            lengths = [len(ids) for ids in shown[start : start + REVIEWS_PER_SORT]]
            groups += [start + places for places in _alike(np.array(lengths), self.recipe.tokens_per_batch)]
        for group in rng.permutation(len(groups)):
            places = groups[group]
            yield Batch(order[places], *padded([shown[place] for place in places], SPECIAL.index(PAD)))


def _alike(lengths: NDArray[np.int64], budget: int) -> Iterator[NDArray[np.int64]]:
    """Yield groups of places, longest texts first, so that group size times longest text is at most `budget`.

    Not the batches of the stage `encode`: those may be tuned for speed, these decide what is learned.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        size = max(1, budget // int(lengths[order[start]]))
        yield order[start : start + size]
        start += size
