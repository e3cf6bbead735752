"""AdamW with a learning rate by layer, linear warm-up and linear decay.

Loshchilov and Hutter, Decoupled Weight Decay Regularization, ICLR 2019; layer-wise decay: Howard and Ruder, Universal
Language Model Fine-tuning, ACL 2018, https://arxiv.org/abs/1801.06146. The schedule is transformers'
`get_linear_schedule_with_warmup`, whose import takes seconds and whose body is one line.
"""

from typing import Any

from torch import Tensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from sentiment.finetuning.model import EncoderWithHead
from sentiment.finetuning.parts import WeightPart, weight_part
from sentiment.finetuning.settings import FinetuneParams


def build_optimizer(model: EncoderWithHead, params: FinetuneParams, n_steps: int) -> tuple[AdamW, LambdaLR]:
    """Return the optimizer of the weights that are not frozen, and the schedule of its learning rate."""
    config = model.encoder.config
    parts = {name: weight_part(name, config) for name, _ in model.encoder.named_parameters()}
    n_layers = 1 + max((part.layer for part in parts.values() if part.layer is not None), default=0)
    groups: dict[tuple[int, bool], list[Tensor]] = {(0, True): [model.head.weight], (0, False): [model.head.bias]}
    for name, weight in model.encoder.named_parameters():
        if weight.requires_grad:
            # biases and layer norms, the vectors among the weights, are not decayed
            groups.setdefault((depth(parts[name], n_layers), weight.ndim > 1), []).append(weight)
    settings: list[dict[str, Any]] = [
        {
            "params": weights,
            "lr": params.learning_rate * params.layer_lr_decay**below_head,
            "weight_decay": params.weight_decay if decays else 0.0,
        }
        for (below_head, decays), weights in groups.items()
    ]
    optimizer = AdamW(settings, fused=True)  # one pass over each weight, and not ten
    n_warmup = round(params.warmup_ratio * n_steps)
    return optimizer, LambdaLR(optimizer, lambda step: lr_factor(step, n_warmup, n_steps))


def depth(part: WeightPart, n_layers: int) -> int:
    """Return how many layers below the head a weight is: 1 for the last layer, most for the embeddings."""
    if part.kind == "embeddings":
        return n_layers + 1
    if part.kind == "other":
        return 1
    return 1 if part.layer is None else n_layers - part.layer


def lr_factor(step: int, n_warmup: int, n_steps: int) -> float:
    """Return the factor of the learning rate at a step from 0: it rises from 0 to 1, then falls to 0."""
    if step < n_warmup:
        return (step + 1) / n_warmup
    return max(0.0, (n_steps - step) / max(1, n_steps - n_warmup))
