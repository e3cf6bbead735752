"""Token ids of reviews in; augmented training batches out: titles removed, texts truncated, tokens masked."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sentiment.encoder.floating import padded
from tools.pretrain.config import PretrainingConfig
from tools.pretrain.vocabulary import CLS, MASK, PAD, SEP, SPECIAL_TOKENS

REVIEWS_PER_SORT = 2_048  # sorted by length together: more means less padding, but less variety of batches


@dataclass(frozen=True)
class Batch:
    """Augmented reviews of similar length.

    Attributes:
        indices: of the reviews in the corpus. # (n_texts,)
        ids: token ids, padded. # (n_texts, seq_len)
        mask: 1 for a token, 0 for padding; None without padding. # (n_texts, seq_len)
    """

    indices: NDArray[np.int64]
    ids: NDArray[np.int64]
    mask: NDArray[np.int64] | None


@dataclass(frozen=True)
class ReviewAugmenter:
    """Augments reviews at random; equally seeded generators give equal batches.

    Attributes:
        texts: token ids of title and body together.
        bodies: token ids of the body alone.
    """

    texts: list[list[int]]
    bodies: list[list[int]]
    config: PretrainingConfig

    def augment(self, index: int, rng: np.random.Generator) -> list[int]:
        """Return the token ids of one augmented review, special tokens included."""
        config = self.config
        token_ids = self.texts[index] if rng.random() < config.title_keep_prob else self.bodies[index]
        truncated = rng.random() < config.truncate_prob
        max_length = config.max_length
        if truncated:
            max_length = int(rng.integers(config.min_truncated_length, config.max_truncated_length))
        kept = np.array(token_ids[: max_length - 2], dtype=np.int64)  # two are [CLS] and [SEP]
        kept[rng.random(len(kept)) < config.mask_prob] = SPECIAL_TOKENS.index(MASK)
        return [SPECIAL_TOKENS.index(CLS), *kept.tolist(), SPECIAL_TOKENS.index(SEP)]

    def epoch(self, rng: np.random.Generator) -> Iterator[Batch]:
        """Yield every review once, in batches of similar length, in random order."""
        order = rng.permutation(len(self.texts))
        augmented = [self.augment(int(index), rng) for index in order]
        batches = []
        for start in range(0, len(order), REVIEWS_PER_SORT):
            lengths = [len(ids) for ids in augmented[start : start + REVIEWS_PER_SORT]]
            batches += [start + rows for rows in batches_by_length(np.array(lengths), self.config.tokens_per_batch)]
        for number in rng.permutation(len(batches)):
            rows = batches[number]
            yield Batch(order[rows], *padded([augmented[row] for row in rows], SPECIAL_TOKENS.index(PAD)))


def batches_by_length(lengths: NDArray[np.int64], max_tokens: int) -> Iterator[NDArray[np.int64]]:
    """Yield indices, longest texts first; batch size times longest text is at most `max_tokens`.

    Kept apart from the batches of the stage `encode`: those may be changed for speed, these change the weights.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        size = max(1, max_tokens // int(lengths[order[start]]))
        yield order[start : start + size]
        start += size
