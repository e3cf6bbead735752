"""The training loop: AdamW, warm-up and cosine decay of the rate, and a moving average of the weights."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor, nn
from transformers import PreTrainedModel

from sentiment.common.errors import EncoderError
from tools.pretrain.config import Recipe
from tools.pretrain.model import Objectives, Targets
from tools.pretrain.augmentation import Batch, Views

LAST_RATE = 0.02  # of the full one, at the end
LONGEST_GRADIENT = 1.0
BETAS = (0.9, 0.98)


@dataclass(frozen=True)
class Step:
    """Losses of one optimisation step, `number` of `total`."""

    number: int
    total: int
    titles: float
    texts: float


@dataclass(frozen=True)
class Lessons:
    """All views and targets; see `Targets` for the shapes."""

    views: Views
    titles: csr_matrix
    texts: Tensor

    def targets(self, batch: Batch, device: torch.device) -> Targets:
        """Return what the reviews of a batch are to be mapped to."""
        titles = torch.from_numpy(self.titles[batch.reviews].toarray())
        return Targets(titles.to(device), self.texts[torch.from_numpy(batch.reviews)].to(device))


def rate(step: int, total: int, recipe: Recipe) -> float:
    """Return the learning rate of a step, counted from 0: linear warm-up times cosine decay."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / total))
    return recipe.learning_rate * min(1.0, (step + 1) / recipe.warmup) * (LAST_RATE + (1 - LAST_RATE) * cosine)


def train_student(
    student: PreTrainedModel, lessons: Lessons, recipe: Recipe, steps: int | None, on_step: Callable[[Step], object]
) -> None:
    """Train `student` in place; it ends up with the moving average of its weights, in evaluation mode.

    Args:
        steps: stop after so many; None is `recipe.epochs` rounds over all reviews.
        on_step: called after every step.

    Raises:
        EncoderError: a loss was not a number.
    """
    device = next(student.parameters()).device
    objectives = Objectives(2 * recipe.hidden, lessons.titles.shape[1], lessons.texts.shape[1], recipe.dropout)
    objectives.to(device)
    parameters = [*student.parameters(), *objectives.parameters()]
    optimizer = torch.optim.AdamW(_groups(parameters, recipe.weight_decay), betas=BETAS)
    rng = np.random.default_rng(recipe.seed)
    total = steps or recipe.epochs * sum(1 for _ in lessons.views.epoch(np.random.default_rng(recipe.seed)))
    average = {name: value.clone() for name, value in student.state_dict().items()}
    student.train()
    for number, batch in zip(range(total), _endless(lessons.views, rng), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = rate(number, total, recipe)
        ids = torch.from_numpy(batch.ids).to(device)
        mask = None if batch.mask is None else torch.from_numpy(batch.mask).to(device)
        hidden = student(input_ids=ids, attention_mask=mask).last_hidden_state
        titles, texts = objectives(hidden, mask, lessons.targets(batch, device))
        loss = titles + recipe.text_weight * texts
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, LONGEST_GRADIENT)
        optimizer.step()
        _follow(average, student, min(recipe.decay, (number + 1) / (number + 11)))
        if not math.isfinite(loss.item()):
            raise EncoderError(f"training diverged at step {number + 1}; try a smaller --learning-rate")
        on_step(Step(number + 1, total, titles.item(), texts.item()))
    student.load_state_dict(average)
    student.train(False)


def _groups(parameters: list[nn.Parameter], decay: float) -> list[dict[str, object]]:
    """Leave biases and norms out of weight decay, as is usual."""
    matrices = [parameter for parameter in parameters if parameter.ndim > 1]
    others = [parameter for parameter in parameters if parameter.ndim <= 1]
    return [{"params": matrices, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def _endless(views: Views, rng: np.random.Generator) -> Iterator[Batch]:
    while True:
        yield from views.epoch(rng)


@torch.no_grad()
def _follow(average: dict[str, Tensor], student: PreTrainedModel, decay: float) -> None:
    """Move the average towards the weights; early on faster, so that it forgets the start."""
    for name, value in student.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value, 1 - decay)
