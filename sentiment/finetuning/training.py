"""Train an encoder with its head on the texts of a split, in batches of similar length."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from sentiment.common.errors import EncoderError
from sentiment.common.tables import batches as table_batches
from sentiment.common.tables import read_column
from sentiment.encoder.tokenizer import Tokenize
from sentiment.finetuning.model import EncoderWithHead, build_optimizer
from sentiment.finetuning.settings import FinetuneParams
from sentiment.head.epoch_log import EpochMetrics

BATCHES_PER_BUCKET = 50  # sorted by length together; more need less padding, fewer are more random
BATCH = 64  # texts, where nothing is trained

OnStep = Callable[[float, int], object]


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
    targets: list[NDArray[Any]] = []  # of each chunk, shape (n_texts, 1 + n_thresholds)
    for chunk in table_batches(table, ["text", "label", "rating"]):
        ids += [np.array(tokens, np.int32) for tokens in tokenize(chunk["text"].to_pylist())]
        label, rating = np.asarray(chunk["label"]), np.asarray(chunk["rating"])
        targets.append(np.stack([label, *(rating > threshold for threshold in thresholds)], axis=1))
    starts = np.cumsum([0, *map(len, ids)])
    return Dataset(np.concatenate([np.empty(0, np.int32), *ids]), starts, np.concatenate(targets).astype(np.float32))


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


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Return bfloat16 autocast on CUDA, and no change of precision elsewhere."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def finetune(
    model: EncoderWithHead, train: Dataset, val: Dataset, pad_id: int, params: FinetuneParams, on_step: OnStep
) -> Iterator[EpochMetrics]:
    """Train the model, yield the metrics of each epoch, and leave the weights of the epoch of lowest validation loss.

    Loss and accuracy of train are means over the epoch, while the weights change; val's are computed at its end.

    Args:
        pad_id: the token that fills up short texts; masked.
        on_step: called after every step with the running training loss and the number of reviews.

    Raises:
        EncoderError: the validation loss was never a number.
    """
    rng = np.random.default_rng(params.seed)
    device = model.head.weight.device
    n_batches = sum(1 for _ in batches_by_length(train.lengths, params.batch_size, np.random.default_rng(0)))
    optimizer, schedule = build_optimizer(model, params, params.epochs * n_batches)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    best_loss, best_weights = math.inf, None
    for epoch in range(params.epochs):
        model.train()
        running = RunningMean()
        for indices in batches_by_length(train.lengths, params.batch_size, rng):
            ids, mask, targets = train.batch(indices, pad_id, device)
            with autocast(device):
                logits = model(ids, mask)
            loss = binary_cross_entropy_with_logits(logits, targets)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, params.max_grad_norm)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            running.add(logits.detach(), targets)
            on_step(running.loss, len(indices))
        val_loss, val_accuracy = validate(model, val, pad_id)
        improved = val_loss < best_loss
        if improved:
            best_loss, best_weights = val_loss, copy.deepcopy(model.state_dict())
        yield EpochMetrics(epoch, running.loss, running.accuracy, val_loss, val_accuracy, improved)
    if best_weights is None:
        raise EncoderError(f"training diverged at finetune.learning_rate {params.learning_rate:g}; try a smaller one")
    model.load_state_dict(best_weights)


class RunningMean:
    """Mean loss and accuracy of the label, the first target, over batches."""

    def __init__(self) -> None:
        self._loss = 0.0
        self._correct = 0
        self._n = 0

    def add(self, logits: Tensor, targets: Tensor) -> None:
        """Add a batch; both of shape (n_texts, n_targets)."""
        logit, label = logits[:, 0].float(), targets[:, 0]
        self._loss += float(binary_cross_entropy_with_logits(logit, label, reduction="sum"))
        self._correct += int(((logit >= 0) == (label >= 0.5)).sum())
        self._n += len(label)

    @property
    def loss(self) -> float:
        """Mean binary cross-entropy in nats."""
        return self._loss / self._n

    @property
    def accuracy(self) -> float:
        """Share of labels that the logit's sign gives."""
        return self._correct / self._n


@torch.inference_mode()
def validate(model: EncoderWithHead, val: Dataset, pad_id: int) -> tuple[float, float]:
    """Return loss and accuracy of the label on a split."""
    model.train(False)
    device = model.head.weight.device
    order = np.argsort(-val.lengths, kind="stable")
    running = RunningMean()
    for start in range(0, len(order), BATCH):
        ids, mask, targets = val.batch(order[start : start + BATCH], pad_id, device)
        with autocast(device):
            logits = model(ids, mask)
        running.add(logits, targets)
    return running.loss, running.accuracy
