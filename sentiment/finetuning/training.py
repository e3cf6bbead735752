"""A model and its data in; the model as it was after its best epoch out.

The best epoch is the one with the lowest validation loss, as in the training of the head.
"""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from sentiment.common.epoch_log import EpochMetrics
from sentiment.common.errors import EncoderError
from sentiment.finetuning.dataset import Dataset, batches_by_length
from sentiment.finetuning.model import EncoderWithHead
from sentiment.finetuning.optimizer import build_optimizer
from sentiment.finetuning.settings import FinetuneParams

BATCH = 64  # texts, where nothing is trained

OnStep = Callable[[float, int], object]


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Return bfloat16 autocast on CUDA, and no change of precision elsewhere."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def finetune(
    model: EncoderWithHead, train: Dataset, val: Dataset, pad_id: int, params: FinetuneParams, on_step: OnStep
) -> Iterator[EpochMetrics]:
    """Train the model, yield the metrics of each epoch, and leave the weights of the epoch of lowest validation loss.

    Loss and accuracy of train are means over the epoch, while the weights change; those of val are computed at its end.

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


def validate(model: EncoderWithHead, val: Dataset, pad_id: int) -> tuple[float, float]:
    """Return loss and accuracy of the label on a split."""
    running = RunningMean()
    for _, logits, targets in predict(model, val, pad_id):
        running.add(logits, targets)
    return running.loss, running.accuracy


@torch.inference_mode()
def predict(model: EncoderWithHead, data: Dataset, pad_id: int) -> Iterator[tuple[NDArray[np.int64], Tensor, Tensor]]:
    """Yield the indices of a batch of texts, their logits and their targets, both of shape (n_texts, n_targets)."""
    model.train(False)
    device = model.head.weight.device
    order = np.argsort(-data.lengths, kind="stable")
    for start in range(0, len(order), BATCH):
        indices = order[start : start + BATCH]
        ids, mask, targets = data.batch(indices, pad_id, device)
        with autocast(device):
            logits = model(ids, mask)
        yield indices, logits, targets
