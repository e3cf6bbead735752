"""Train a head by AdamW on batches, with losses and accuracies after every epoch.

    for epoch in train_head(head, mean, std, train, val, rng, epochs=30, ...): ...

Every number has the same bits on every processor; see `head.mlp` for the matrix products. The optimizer is
element-wise, with running products in place of powers, and a mean loss is an exact sum.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sentiment.head.epoch_log import EpochMetrics
from sentiment.head.features import ClassWeight, LabeledFeatures, StandardizedFeatures, class_costs, rows_per_chunk
from sentiment.head.mlp import Float64s, Head, forward, round_weights
from sentiment.numerics.arrays import exact_mean, softplus

Float32s = NDArray[np.float32]

BETAS, EPSILON = (0.9, 0.999), 1e-8  # of AdamW, as everywhere


class AdamW:
    """Adam with decoupled weight decay, algorithm 2 of Loshchilov and Hutter, https://arxiv.org/abs/1711.05101."""

    def __init__(self, params: Float64s, learning_rate: float, weight_decay: float) -> None:
        self._params = params
        self._exp_avg, self._exp_avg_sq = np.zeros_like(params), np.zeros_like(params)
        self._buffer = np.empty_like(params)
        self._learning_rate, self._decay_factor = learning_rate, 1 - learning_rate * weight_decay
        self._beta_power, self._beta_sq_power = 1.0, 1.0

    def step(self, grad: Float64s) -> None:
        """Update the parameters in place."""
        buffer = self._buffer
        self._exp_avg *= BETAS[0]
        self._exp_avg += np.multiply(grad, 1 - BETAS[0], out=buffer)
        self._exp_avg_sq *= BETAS[1]
        np.multiply(grad, grad, out=buffer)
        buffer *= 1 - BETAS[1]
        self._exp_avg_sq += buffer
        # running products: `**` is the C library's, which differs between systems
        self._beta_power *= BETAS[0]
        self._beta_sq_power *= BETAS[1]
        np.sqrt(self._exp_avg_sq, out=buffer)
        buffer /= math.sqrt(1 - self._beta_sq_power)
        buffer += EPSILON
        np.divide(self._exp_avg, buffer, out=buffer)
        buffer *= self._learning_rate / (1 - self._beta_power)
        if self._decay_factor != 1:
            self._params *= self._decay_factor
        self._params -= buffer


def train_head(
    head: Head,
    mean: Float32s,
    std: Float32s,
    train: LabeledFeatures,
    val: LabeledFeatures,
    rng: np.random.Generator,
    *,
    class_weight: ClassWeight = "none",
    dropout: float,
    learning_rate: float,
    weight_decay: float,
    l2: float,
    epochs: int,
    batch_size: int,
) -> Iterator[EpochMetrics]:
    """Train `head` in place on features standardized by `mean` and `std`; yield each epoch's metrics without dropout.

    Args:
        class_weight: of `class_costs`; the losses are weighted likewise.
        weight_decay: decoupled from the gradient, so scaled by AdamW's step and not by the loss.
        l2: weight of the penalty l2 / 2 * sum(weights^2) in the loss that is minimized; the losses that are reported
            are without it. One layer then tends to scikit-learn's LogisticRegression(C=1 / (l2 * n_samples)).
    """
    optimizer = AdamW(head.flat_params, learning_rate, weight_decay)
    train_x, val_x = (StandardizedFeatures(split.features, mean, std) for split in (train, val))
    by_class = class_costs(train.labels, class_weight)
    train_costs, val_costs = (by_class[split.labels.astype(np.intp)] for split in (train, val))
    chunk_size = max(1, rows_per_chunk(len(mean)) // batch_size) * batch_size
    best_val_loss = math.inf
    for number in range(epochs):
        shuffled = rng.permutation(len(train.labels))
        for rows in (shuffled[start : start + chunk_size] for start in range(0, len(shuffled), chunk_size)):
            # straight from the array, many batches at once: a DataLoader would fetch and collate row by row
            x, labels, costs = train_x[rows], train.labels[rows], train_costs[rows]
            for start in range(0, len(rows), batch_size):
                batch = slice(start, start + batch_size)
                head.backward(x[batch], labels[batch], costs[batch], dropout, rng)
                if l2:
                    head.add_l2_grad(l2)
                optimizer.step(head.grad)
        metrics = (
            *loss_and_accuracy(head, train_x, train.labels, train_costs),
            *loss_and_accuracy(head, val_x, val.labels, val_costs),
        )
        yield EpochMetrics(number, *metrics, improved=metrics[2] < best_val_loss)
        best_val_loss = min(best_val_loss, metrics[2])


def loss_and_accuracy(head: Head, x: StandardizedFeatures, labels: Float64s, costs: Float64s) -> tuple[float, float]:
    """Return mean binary cross-entropy (nats), weighted by `costs`, and accuracy at a probability of 0.5."""
    size = rows_per_chunk(head.layers[0][0].shape[1])
    layers = round_weights(head.layers)
    logits = np.concatenate([forward(layers, x[start : start + size]) for start in range(0, len(labels), size)])
    losses = (softplus(logits) - labels * logits) * costs
    n_correct = int(np.count_nonzero((logits >= 0) == labels))
    return exact_mean(losses), n_correct / len(labels)
