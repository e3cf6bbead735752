"""A split table and a tokenizer in; token ids and targets out, and batches of them by length."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sentiment.common.tables import batches as table_batches
from sentiment.common.tables import read_column

Tokenize = Callable[[list[str]], list[list[int]]]

BATCHES_PER_BUCKET = 50  # sorted by length together; more need less padding, fewer are more random


@dataclass(frozen=True)
class Dataset:
    """A split as arrays: 4 bytes a token, so that a million reviews take some 400 MB.

    Attributes:
        token_ids: of all texts, one after the other, int32.
        starts: where each text begins, and the end of the last, shape (n_texts + 1,).
        targets: labels or probabilities, float32, shape (n_texts, n_targets); the first is of the label.
    """

    token_ids: NDArray[np.int32]
    starts: NDArray[np.int64]
    targets: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text."""
        return np.diff(self.starts)

    def batch(self, indices: NDArray[np.int64], pad_id: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Return ids and mask, both of shape (n_texts, longest text), and targets of shape (n_texts, n_targets)."""
        lengths = self.lengths[indices]
        is_token = np.arange(lengths.max()) < lengths[:, None]
        ids = np.full(is_token.shape, pad_id, dtype=np.int64)
        ids[is_token] = np.concatenate([self.token_ids[self.starts[i] : self.starts[i + 1]] for i in indices])
        arrays = (ids, is_token.astype(np.int64), self.targets[indices])
        ids_tensor, mask, targets = (torch.from_numpy(array).to(device) for array in arrays)
        return ids_tensor, mask, targets


def rating_thresholds(train_table: Path) -> list[float]:
    """Return the values that a rating can be above: all but the highest; none where there are at most two ratings."""
    ratings = np.unique(read_column(train_table, "rating").to_numpy())
    return [float(rating) for rating in ratings[:-1]] if len(ratings) > 2 else []


def read_dataset(table: Path, tokenize: Tokenize, thresholds: Sequence[float]) -> Dataset:
    """Read and tokenize the texts of a split; a target beside the label for each rating threshold."""
    ids: list[NDArray[np.int32]] = []
    targets = []
    for chunk in table_batches(table, ["text", "label", "rating"]):
        ids += [np.array(tokens, np.int32) for tokens in tokenize(chunk["text"].to_pylist())]
        rating = np.asarray(chunk["rating"])
        targets.append(targets_of(np.asarray(chunk["label"]), rating, thresholds))
    return as_dataset(ids, np.concatenate(targets))


def targets_of(label: NDArray[Any], rating: NDArray[Any], thresholds: Sequence[float]) -> NDArray[np.float32]:
    """Return the label, and whether the rating is above each threshold, of shape (n_texts, 1 + n_thresholds)."""
    return np.stack([label, *(rating > threshold for threshold in thresholds)], axis=1).astype(np.float32)


def as_dataset(token_ids: Iterable[Sequence[int] | NDArray[np.int32]], targets: NDArray[np.float32]) -> Dataset:
    """Return texts, given by their token ids, with targets of shape (n_texts, n_targets)."""
    arrays = [np.asarray(ids, np.int32) for ids in token_ids]
    return Dataset(np.concatenate([np.empty(0, np.int32), *arrays]), np.cumsum([0, *map(len, arrays)]), targets)


def batches_by_length(
    lengths: NDArray[np.int64], batch_size: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Yield the indices of all texts once, in random batches of texts of similar length."""
    order = rng.permutation(len(lengths))
    bucket_size = batch_size * BATCHES_PER_BUCKET
    batches = []
    for start in range(0, len(order), bucket_size):
        bucket = order[start : start + bucket_size]
        by_length = bucket[np.argsort(lengths[bucket], kind="stable")]
        batches += [by_length[at : at + batch_size] for at in range(0, len(by_length), batch_size)]
    for index in rng.permutation(len(batches)):
        yield batches[index]
