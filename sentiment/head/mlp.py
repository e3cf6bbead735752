"""The head on frozen features: linear layers with ReLU between them, and the loop that trains them.

NumPy, with the gradients by hand: a batch of 16 is 10 microseconds of arithmetic, and asking autograd and an
optimizer object for it takes 30 times that (`make bench` shows both). Tested against torch's autograd and AdamW.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Layers = tuple[tuple[Floats, Floats], ...]  # weight (outputs, inputs) and bias (outputs,), first layer first

ROWS_PER_CHUNK = 4_096  # rows gathered and standardized together; bounds memory
BETAS, EPSILON = (0.9, 0.999), 1e-8  # of AdamW, as everywhere


@dataclass(frozen=True)
class LabeledFeatures:
    """Features of shape (n_samples, dim), possibly memory-mapped, and labels 0 or 1 of shape (n_samples,)."""

    features: Floats
    labels: Floats


@dataclass(frozen=True)
class EpochMetrics:
    """Loss and accuracy after one epoch, without dropout; `improved` if its validation loss is the lowest so far."""

    number: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    improved: bool


def mean_and_std(features: Floats) -> tuple[Floats, Floats]:
    """Return mean and std by column, summed in float64; a constant column has std 1."""
    mean = sum(chunk.sum(0, dtype=np.float64) for chunk in _chunks(features)) / len(features)
    variance = sum(np.square(chunk - mean).sum(0) for chunk in _chunks(features)) / len(features)
    std = np.sqrt(variance)
    std[std < 1e-6] = 1.0
    return np.asarray(mean, np.float32), std.astype(np.float32)


def forward(layers: Layers, x: Floats) -> Floats:
    """Return logits of shape (n_samples,) for standardized features x of shape (n_samples, dim)."""
    hidden = x
    for depth, (weight, bias) in enumerate(layers):
        hidden = np.maximum(hidden, 0) if depth else hidden
        hidden = hidden @ weight.T + bias
    return hidden[:, 0]


class Head:
    """Layers whose parameters are views into one flat array, so that the optimizer updates them all at once."""

    def __init__(self, sizes: list[int], rng: np.random.Generator) -> None:
        """Draw the layers from sizes[0] inputs over hidden sizes to sizes[-1] outputs as torch.nn.Linear does."""
        shapes = list(zip(sizes[1:], sizes, strict=False))
        self.flat_params = np.concatenate(
            [rng.uniform(-(inputs**-0.5), inputs**-0.5, outputs * (inputs + 1)) for outputs, inputs in shapes]
        ).astype(np.float32)
        self.grad = np.zeros_like(self.flat_params)
        self.layers = _views(self.flat_params, shapes)
        self._grads = _views(self.grad, shapes)

    def backward(self, x: Floats, labels: Floats, dropout: float, rng: np.random.Generator) -> None:
        """Set `grad` to that of the mean binary cross-entropy of one batch.

        Args:
            x: standardized features, shape (batch, dim).
            labels: 0 or 1, shape (batch,).
            dropout: the share of hidden units set to 0; the others are scaled up.
        """
        inputs, relu_masks = [x], []
        for weight, bias in self.layers[:-1]:
            hidden = inputs[-1] @ weight.T + bias
            mask = (hidden > 0).astype(np.float32)
            if dropout:
                mask *= (rng.random(mask.shape, np.float32) >= dropout) / np.float32(1 - dropout)
            inputs.append(hidden * mask)
            relu_masks.append(mask)
        weight, bias = self.layers[-1]
        logits = inputs[-1] @ weight[0] + bias
        grad_logits = ((sigmoid(logits) - labels) / np.float32(len(labels)))[:, None]
        for depth in reversed(range(len(self.layers))):
            weight_grad, bias_grad = self._grads[depth]
            np.matmul(grad_logits.T, inputs[depth], out=weight_grad)
            np.add.reduce(grad_logits, axis=0, out=bias_grad)
            if depth:
                grad_logits = (grad_logits @ self.layers[depth][0]) * relu_masks[depth - 1]


class AdamW:
    """Adam with decoupled weight decay, algorithm 2 of Loshchilov and Hutter, https://arxiv.org/abs/1711.05101."""

    def __init__(self, parameters: Floats, learning_rate: float, weight_decay: float) -> None:
        self._params = parameters
        self._exp_avg, self._exp_avg_sq = np.zeros_like(parameters), np.zeros_like(parameters)
        self._buffer = np.empty_like(parameters)
        self._learning_rate, self._decay_factor = learning_rate, 1 - learning_rate * weight_decay
        self._steps = 0

    def step(self, grad: Floats) -> None:
        """Update the parameters in place."""
        self._steps += 1
        buffer = self._buffer
        for moment, beta, power in ((self._exp_avg, BETAS[0], grad), (self._exp_avg_sq, BETAS[1], grad * grad)):
            moment *= beta
            moment += np.multiply(power, 1 - beta, out=buffer)
        np.sqrt(self._exp_avg_sq, out=buffer)
        buffer /= (1 - BETAS[1] ** self._steps) ** 0.5
        buffer += EPSILON
        np.divide(self._exp_avg, buffer, out=buffer)
        buffer *= self._learning_rate / (1 - BETAS[0] ** self._steps)
        if self._decay_factor != 1:
            self._params *= self._decay_factor
        self._params -= buffer


def train_head(
    head: Head,
    mean: Floats,
    std: Floats,
    train: LabeledFeatures,
    val: LabeledFeatures,
    rng: np.random.Generator,
    *,
    dropout: float,
    learning_rate: float,
    weight_decay: float,
    epochs: int,
    batch_size: int,
) -> Iterator[EpochMetrics]:
    """Train `head` in place on features standardized by `mean` and `std`, and yield after every epoch."""
    optimizer = AdamW(head.flat_params, learning_rate, weight_decay)
    chunk_size = max(1, ROWS_PER_CHUNK // batch_size) * batch_size
    best_val_loss = float("inf")
    for number in range(epochs):
        shuffled = rng.permutation(len(train.labels))
        for rows in (shuffled[start : start + chunk_size] for start in range(0, len(shuffled), chunk_size)):
            # straight from the array, many batches at once: a DataLoader would fetch and collate row by row
            x, labels = (train.features[rows] - mean) / std, train.labels[rows]
            for start in range(0, len(rows), batch_size):
                batch = slice(start, start + batch_size)
                head.backward(x[batch], labels[batch], dropout, rng)
                optimizer.step(head.grad)
        metrics = (*loss_and_accuracy(head, mean, std, train), *loss_and_accuracy(head, mean, std, val))
        yield EpochMetrics(number, *metrics, improved=metrics[2] < best_val_loss)
        best_val_loss = min(best_val_loss, metrics[2])


def loss_and_accuracy(head: Head, mean: Floats, std: Floats, split: LabeledFeatures) -> tuple[float, float]:
    """Return mean binary cross-entropy (nats) and accuracy at a probability of 0.5."""
    logits = np.concatenate([forward(head.layers, (chunk - mean) / std) for chunk in _chunks(split.features)])
    losses = np.logaddexp(0, logits, dtype=np.float64) - split.labels * logits
    return float(losses.mean()), float(((logits >= 0) == split.labels).mean())


def sigmoid(logits: Floats) -> Floats:
    """The logistic function by tanh, which does not overflow."""
    probabilities: Floats = np.float32(0.5) * (1 + np.tanh(np.float32(0.5) * logits))
    return probabilities


def _chunks(features: Floats) -> Iterator[Floats]:
    return (features[start : start + ROWS_PER_CHUNK] for start in range(0, len(features), ROWS_PER_CHUNK))


def _views(flat_params: Floats, shapes: list[tuple[int, int]]) -> Layers:
    """Split a flat array into weight and bias of each layer."""
    layers, start = [], 0
    for outputs, inputs in shapes:
        middle, end = start + outputs * inputs, start + outputs * (inputs + 1)
        layers.append((flat_params[start:middle].reshape(outputs, inputs), flat_params[middle:end]))
        start = end
    return tuple(layers)
