"""Train the model: AdamW, warm-up and cosine decay of the learning rate, moving average of the weights."""

import math
from itertools import chain, count

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor, nn
from tqdm import tqdm
from transformers import PreTrainedModel

from sentiment.common.errors import EncoderError
from tools.pretrain.config import PretrainingConfig
from tools.pretrain.corpus import ReviewAugmenter
from tools.pretrain.model import PretrainingHeads

MIN_LR_RATIO = 0.02  # of the highest learning rate, at the last step: not 0, so that the last batches still count
MAX_GRAD_NORM = 1.0  # the usual bound for transformers
ADAM_BETAS = (0.9, 0.98)  # as RoBERTa, for stability


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
    steps: int | None = None,
) -> None:
    """Train `model` in place; it ends with the moving average of its weights, in evaluation mode.

    Args:
        title_distribution: target distributions over title n-grams. # (n_reviews, n_ngrams)
        text_targets: target vectors. # (n_reviews, svd_dim)
        steps: number of optimization steps; None for `config.epochs` epochs.

    Raises:
        EncoderError: a loss was not finite.
    """
    device = next(model.parameters()).device
    heads = PretrainingHeads(2 * config.hidden_size, title_distribution.shape[1], text_targets.shape[1], config.dropout)
    heads.to(device)
    parameters = [*model.parameters(), *heads.parameters()]
    # weight decay is for matrices only, not for biases and norms, as is usual
    matrices, vectors = [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=ADAM_BETAS)
    rng = np.random.default_rng(config.seed)
    total = steps or config.epochs * sum(1 for _ in augmenter.epoch(np.random.default_rng(config.seed)))
    ema = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    batches = chain.from_iterable(augmenter.epoch(rng) for _ in count())  # one epoch after the other, without end
    bar = tqdm(batches, f"pretrain on {device.type}", total, unit=" steps", disable=None)
    for step, batch in zip(range(total), bar, strict=False):
        for group in optimizer.param_groups:
            group["lr"] = lr_at(step, total, config)
        input_ids = torch.from_numpy(batch.ids).to(device)
        mask = None if batch.mask is None else torch.from_numpy(batch.mask).to(device)
        titles = torch.from_numpy(title_distribution[batch.indices].toarray()).to(device)
        texts = text_targets[torch.from_numpy(batch.indices)].to(device)
        hidden = model(input_ids=input_ids, attention_mask=mask).last_hidden_state
        title_loss, text_loss = heads(hidden, mask, titles, texts)
        loss = title_loss + config.text_loss_weight * text_loss
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, MAX_GRAD_NORM)
        optimizer.step()
        # a shorter average in the first steps, as in TensorFlow's ExponentialMovingAverage, forgets the initial weights
        update_ema(ema, model, min(config.ema_decay, (step + 1) / (step + 11)))
        if not math.isfinite(loss.item()):
            raise EncoderError(f"training diverged at step {step + 1}")
        bar.set_postfix(titles=f"{title_loss.item():.3f}", texts=f"{text_loss.item():.3f}", refresh=False)
    model.load_state_dict(ema)
    model.train(False)


@torch.no_grad()
def update_ema(ema: dict[str, Tensor], model: PreTrainedModel, decay: float) -> None:
    """Move the average towards the weights: ema = decay * ema + (1 - decay) * weights."""
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            ema[name].lerp_(value, 1 - decay)
