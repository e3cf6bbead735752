"""Train the model: AdamW, warm-up and cosine decay of the learning rate, moving average of the weights."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor, nn
from transformers import PreTrainedModel

from sentiment.common.errors import EncoderError
from tools.pretrain.config import PretrainingConfig
from tools.pretrain.corpus import Batch, ReviewAugmenter
from tools.pretrain.model import PretrainingHeads, Targets

MIN_LR_RATIO = 0.02  # of the highest learning rate, at the last step: not 0, so that the last batches still count
MAX_GRAD_NORM = 1.0  # the usual bound for transformers
ADAM_BETAS = (0.9, 0.98)  # as RoBERTa, for stability


@dataclass(frozen=True)
class StepMetrics:
    """Losses of optimization step `number` of `total`."""

    number: int
    total: int
    title_loss: float
    text_loss: float


def lr_at(step: int, total: int, config: PretrainingConfig) -> float:
    """Return the learning rate of a step, counted from 0: linear warm-up times cosine decay."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / total))
    warmup = min(1.0, (step + 1) / config.warmup_steps)
    return config.learning_rate * warmup * (MIN_LR_RATIO + (1 - MIN_LR_RATIO) * cosine)


def train_model(
    model: PreTrainedModel,
    augmenter: ReviewAugmenter,
    title_distribution: csr_matrix,
    text_targets: Tensor,
    config: PretrainingConfig,
    steps: int | None,
    on_step: Callable[[StepMetrics], object],
) -> None:
    """Train `model` in place; it ends with the moving average of its weights, in evaluation mode.

    Args:
        title_distribution: target distributions over title n-grams. # (n_reviews, n_ngrams)
        text_targets: target vectors. # (n_reviews, svd_dim)
        steps: number of optimization steps; None for `config.epochs` epochs.
        on_step: called after every step.

    Raises:
        EncoderError: a loss was not finite.
    """
    device = next(model.parameters()).device
    heads = PretrainingHeads(2 * config.hidden_size, title_distribution.shape[1], text_targets.shape[1], config.dropout)
    heads.to(device)
    parameters = [*model.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameter_groups(parameters, config.weight_decay), betas=ADAM_BETAS)
    rng = np.random.default_rng(config.seed)
    total = steps or config.epochs * sum(1 for _ in augmenter.epoch(np.random.default_rng(config.seed)))
    ema = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    for step, batch in zip(range(total), cycle(augmenter, rng), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = lr_at(step, total, config)
        input_ids = torch.from_numpy(batch.ids).to(device)
        mask = None if batch.mask is None else torch.from_numpy(batch.mask).to(device)
        targets = Targets(
            torch.from_numpy(title_distribution[batch.indices].toarray()).to(device),
            text_targets[torch.from_numpy(batch.indices)].to(device),
        )
        hidden = model(input_ids=input_ids, attention_mask=mask).last_hidden_state
        title_loss, text_loss = heads(hidden, mask, targets)
        loss = title_loss + config.text_loss_weight * text_loss
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, MAX_GRAD_NORM)
        optimizer.step()
        # a shorter average in the first steps, as in TensorFlow's ExponentialMovingAverage, forgets the initial weights
        update_ema(ema, model, min(config.ema_decay, (step + 1) / (step + 11)))
        if not math.isfinite(loss.item()):
            raise EncoderError(f"training diverged at step {step + 1}; try a smaller --learning-rate")
        on_step(StepMetrics(step + 1, total, title_loss.item(), text_loss.item()))
    model.load_state_dict(ema)
    model.train(False)


def parameter_groups(parameters: list[nn.Parameter], weight_decay: float) -> list[dict[str, object]]:
    """Apply weight decay to matrices only, not to biases and norms, as is usual."""
    matrices = [parameter for parameter in parameters if parameter.ndim > 1]
    vectors = [parameter for parameter in parameters if parameter.ndim <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def cycle(augmenter: ReviewAugmenter, rng: np.random.Generator) -> Iterator[Batch]:
    """Yield the batches of one epoch after the other, without end."""
    while True:
        yield from augmenter.epoch(rng)


@torch.no_grad()
def update_ema(ema: dict[str, Tensor], model: PreTrainedModel, decay: float) -> None:
    """Move the average towards the weights: ema = decay * ema + (1 - decay) * weights."""
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            ema[name].lerp_(value, 1 - decay)
