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

BLOCK = 4_096  # rows gathered and standardised together
BETAS, EPSILON = (0.9, 0.999), 1e-8  # of AdamW, as everywhere


@dataclass(frozen=True)
class Part:
    """Features of shape (rows, width), possibly memory-mapped, and labels 0 or 1 of shape (rows,)."""

    features: Floats
    labels: Floats


@dataclass(frozen=True)
class Epoch:
    """Loss and accuracy after one epoch, without dropout; `improved` if its validation loss is the lowest so far."""

    number: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    improved: bool


def moments(features: Floats) -> tuple[Floats, Floats]:
    """Return mean and deviation by column, summed in float64 in blocks; a constant column has deviation 1."""
    mean = sum(block.sum(0, dtype=np.float64) for block in _blocks(features)) / len(features)
    variance = sum(np.square(block - mean).sum(0) for block in _blocks(features)) / len(features)
    deviation = np.sqrt(variance)
    deviation[deviation < 1e-6] = 1.0
    return np.asarray(mean, np.float32), deviation.astype(np.float32)


def forward(layers: Layers, standardised: Floats) -> Floats:
    """Return logits of shape (rows,) for standardised features of shape (rows, width)."""
    hidden = standardised
    for depth, (weight, bias) in enumerate(layers):
        hidden = np.maximum(hidden, 0) if depth else hidden
        hidden = hidden @ weight.T + bias
    return hidden[:, 0]


class Head:
    """Layers whose parameters are views into one flat array, so that the optimizer updates them all at once."""

    def __init__(self, sizes: list[int], rng: np.random.Generator) -> None:
        """Draw the layers from sizes[0] inputs over hidden sizes to sizes[-1] outputs as torch.nn.Linear does."""
        shapes = list(zip(sizes[1:], sizes, strict=False))
        self.flat = np.concatenate(
            [rng.uniform(-(inputs**-0.5), inputs**-0.5, outputs * (inputs + 1)) for outputs, inputs in shapes]
        ).astype(np.float32)
        self.gradient = np.zeros_like(self.flat)
        self.layers = _views(self.flat, shapes)
        self._gradients = _views(self.gradient, shapes)

    def backward(self, standardised: Floats, labels: Floats, dropout: float, rng: np.random.Generator) -> None:
        """Set `gradient` to that of the mean binary cross-entropy of one batch.

        Args:
            standardised: shape (rows, width).
            labels: shape (rows,).
            dropout: the share of hidden numbers set to 0, the others scaled up.
        """
        inputs, slopes = [standardised], []
        for weight, bias in self.layers[:-1]:
            hidden = inputs[-1] @ weight.T + bias
            slope = (hidden > 0).astype(np.float32)
            if dropout:
                slope *= (rng.random(slope.shape, np.float32) >= dropout) / np.float32(1 - dropout)
            inputs.append(hidden * slope)
            slopes.append(slope)
        weight, bias = self.layers[-1]
        logits = inputs[-1] @ weight[0] + bias
        error = ((sigmoid(logits) - labels) / np.float32(len(labels)))[:, None]
        for depth in reversed(range(len(self.layers))):
            weight_gradient, bias_gradient = self._gradients[depth]
            np.matmul(error.T, inputs[depth], out=weight_gradient)
            np.add.reduce(error, axis=0, out=bias_gradient)
            if depth:
                error = (error @ self.layers[depth][0]) * slopes[depth - 1]


class AdamW:
    """Adam with decoupled weight decay, algorithm 2 of Loshchilov and Hutter, https://arxiv.org/abs/1711.05101."""

    def __init__(self, parameters: Floats, learning_rate: float, weight_decay: float) -> None:
        self._parameters = parameters
        self._first, self._second = np.zeros_like(parameters), np.zeros_like(parameters)
        self._buffer = np.empty_like(parameters)
        self._learning_rate, self._kept = learning_rate, 1 - learning_rate * weight_decay
        self._steps = 0

    def step(self, gradient: Floats) -> None:
        """Update the parameters in place."""
        self._steps += 1
        buffer = self._buffer
        for moment, beta, power in ((self._first, BETAS[0], gradient), (self._second, BETAS[1], gradient * gradient)):
            moment *= beta
            moment += np.multiply(power, 1 - beta, out=buffer)
        np.sqrt(self._second, out=buffer)
        buffer /= (1 - BETAS[1] ** self._steps) ** 0.5
        buffer += EPSILON
        np.divide(self._first, buffer, out=buffer)
        buffer *= self._learning_rate / (1 - BETAS[0] ** self._steps)
        if self._kept != 1:
            self._parameters *= self._kept
        self._parameters -= buffer


def train_head(
    head: Head,
    scale: tuple[Floats, Floats],
    train: Part,
    val: Part,
    rng: np.random.Generator,
    *,
    dropout: float,
    learning_rate: float,
    weight_decay: float,
    epochs: int,
    batch_size: int,
) -> Iterator[Epoch]:
    """Train `head` in place on features standardised by `scale` (mean, deviation), and yield after every epoch."""
    mean, deviation = scale
    optimizer = AdamW(head.flat, learning_rate, weight_decay)
    block = max(1, BLOCK // batch_size) * batch_size
    lowest = float("inf")
    for number in range(epochs):
        shuffled = rng.permutation(len(train.labels))
        for rows in (shuffled[start : start + block] for start in range(0, len(shuffled), block)):
            # straight from the array, many batches at once: a DataLoader would fetch and collate row by row
            features, labels = (train.features[rows] - mean) / deviation, train.labels[rows]
            for start in range(0, len(rows), batch_size):
                batch = slice(start, start + batch_size)
                head.backward(features[batch], labels[batch], dropout, rng)
                optimizer.step(head.gradient)
        measured = (*loss_and_accuracy(head, scale, train), *loss_and_accuracy(head, scale, val))
        yield Epoch(number, *measured, improved=measured[2] < lowest)
        lowest = min(lowest, measured[2])


def loss_and_accuracy(head: Head, scale: tuple[Floats, Floats], part: Part) -> tuple[float, float]:
    """Return mean binary cross-entropy (nats) and accuracy at a probability of 0.5."""
    logits = np.concatenate([forward(head.layers, (block - scale[0]) / scale[1]) for block in _blocks(part.features)])
    losses = np.logaddexp(0, logits, dtype=np.float64) - part.labels * logits
    return float(losses.mean()), float(((logits >= 0) == part.labels).mean())


def sigmoid(logits: Floats) -> Floats:
    """The logistic function by tanh, which does not overflow."""
    probabilities: Floats = np.float32(0.5) * (1 + np.tanh(np.float32(0.5) * logits))
    return probabilities


def _blocks(features: Floats) -> Iterator[Floats]:
    return (features[start : start + BLOCK] for start in range(0, len(features), BLOCK))


def _views(flat: Floats, shapes: list[tuple[int, int]]) -> Layers:
    """Cut a flat array into weight and bias of each layer."""
    layers, start = [], 0
    for outputs, inputs in shapes:
        middle, end = start + outputs * inputs, start + outputs * (inputs + 1)
        layers.append((flat[start:middle].reshape(outputs, inputs), flat[middle:end]))
        start = end
    return tuple(layers)
