"""Compute the head on frozen features, linear layers with ReLU between them, and its gradients.

    logits = forward(round_weights(head.layers), x)

NumPy, with the gradients by hand: a batch of 16 is 10 microseconds of arithmetic, and asking autograd and an
optimizer object for it takes 30 times that (`make bench` shows both). Tested against torch's autograd.

The bits are the same on every processor: both operands of every matrix product are rounded to grids on which float64
sums are exact (`numerics.arrays`), and all else is element-wise. A standardized feature has `X_BITS` bits in training
and `FINE_BITS` in `forward`, a hidden activation `HIDDEN_BITS`; a weight or a gradient gets what these leave of
float64's 53. With 512 features, a weight is rounded by at most 2**-29 of the layer's largest, and in `forward` 2**-24.
"""

import math

import numpy as np
from numpy.typing import NDArray

from sentiment.head.features import FINE_BITS, X_BITS
from sentiment.numerics.arrays import approximate_sigmoid, bits_left, round_to_bits

Float64s = NDArray[np.float64]
Layers = tuple[tuple[Float64s, Float64s], ...]  # weight (outputs, inputs) and bias (outputs,), first layer first

HIDDEN_BITS = 20  # 2**-20 of the largest activation is the precision of float32 products


def forward(layers: Layers, x: Float64s) -> Float64s:
    """Return logits of shape (n_samples,); a sample's logit does not depend on the other samples.

    Args:
        layers: of `round_weights`.
        x: standardized features, shape (n_samples, dim).
    """
    hidden = x
    for depth, (weight, bias) in enumerate(layers):
        if depth:  # a grid for each row, so that a sample does not see its neighbors
            hidden = round_to_bits(np.maximum(hidden, 0.0), HIDDEN_BITS, axis=1)
        hidden = hidden @ weight.T + bias
    return hidden[:, 0]


def round_weights(layers: Layers) -> Layers:
    """Return layers whose weights are rounded for exact products; the biases need none, for they are only added."""
    bits = [HIDDEN_BITS if depth else FINE_BITS for depth in range(len(layers))]
    return tuple(
        (round_to_bits(weight, bits_left(one, weight.shape[1])), bias)
        for one, (weight, bias) in zip(bits, layers, strict=True)
    )


def input_bits(depth: int) -> int:
    """Return the bits of what a layer takes in training."""
    return HIDDEN_BITS if depth else X_BITS


class Head:
    """Layers whose parameters are views into one flat array, so that the optimizer updates them all at once."""

    def __init__(self, sizes: list[int], rng: np.random.Generator) -> None:
        """Draw the layers from sizes[0] inputs over hidden sizes to sizes[-1] outputs as torch.nn.Linear does."""
        shapes = list(zip(sizes[1:], sizes, strict=False))
        # not rng.uniform, whose multiplication and addition a compiler may join
        self.flat_params = np.concatenate(
            [(rng.random(outputs * (inputs + 1)) * 2.0 - 1.0) / math.sqrt(inputs) for outputs, inputs in shapes]
        )
        self.grad = np.zeros_like(self.flat_params)
        self.layers = _views(self.flat_params, shapes)
        self._grads = _views(self.grad, shapes)
        self._rounded = _views(np.empty_like(self.flat_params), shapes)
        # of each weight in training, for exact products with its inputs
        self._weight_bits = [bits_left(input_bits(depth), n_inputs) for depth, n_inputs in enumerate(sizes[:-1])]

    def backward(
        self, x: Float64s, labels: Float64s, costs: Float64s, dropout: float, rng: np.random.Generator
    ) -> None:
        """Set `grad` to the gradient of the mean binary cross-entropy of one batch.

        Args:
            x: standardized features, shape (batch, dim).
            labels: 0 or 1, shape (batch,).
            costs: weight of each row in the mean, shape (batch,).
            dropout: the share of hidden units set to 0; the others are scaled up.
        """
        weights = [
            round_to_bits(weight, bits, out=rounded)
            for (weight, _), bits, (rounded, _) in zip(self.layers, self._weight_bits, self._rounded, strict=True)
        ]
        inputs, relu_masks = [x], []  # inputs of each layer, (batch, inputs); masks of the hidden layers
        for weight, (_, bias) in zip(weights[:-1], self.layers, strict=False):
            hidden = inputs[-1] @ weight.T + bias  # (batch, hidden_size)
            mask = (hidden > 0).astype(np.float64)
            if dropout:
                mask *= (rng.random(mask.shape, np.float32) >= dropout) / (1.0 - dropout)
            inputs.append(round_to_bits(hidden * mask, HIDDEN_BITS))
            relu_masks.append(mask)
        logits = inputs[-1] @ weights[-1].T + self.layers[-1][1]  # (batch, 1)
        grad_output = (approximate_sigmoid(logits) - labels[:, None]) * costs[
            :, None
        ]  # of the summed loss by the layer's outputs
        for depth in reversed(range(len(weights))):
            grad_output = round_to_bits(grad_output, self._grad_bits(depth, len(x)))
            weight_grad, bias_grad = self._grads[depth]
            np.matmul(grad_output.T, inputs[depth], out=weight_grad)
            np.add.reduce(grad_output, axis=0, out=bias_grad)
            if depth:
                grad_output = (grad_output @ weights[depth]) * relu_masks[depth - 1]
        self.grad /= len(x)

    def add_l2_grad(self, l2: float) -> None:
        """Add to `grad` the gradient of l2 / 2 times the sum of the squared weights, without biases."""
        for (weight, _), (weight_grad, _) in zip(self.layers, self._grads, strict=True):
            weight_grad += l2 * weight

    def _grad_bits(self, depth: int, batch_size: int) -> int:
        """Return the bits of the gradient by a layer's outputs, for exact sums over the batch and over the outputs."""
        of_batch = bits_left(input_bits(depth), batch_size)
        if not depth:
            return of_batch
        n_outputs = self.layers[depth][0].shape[0]
        return min(of_batch, bits_left(self._weight_bits[depth], n_outputs))


def _views(flat_params: Float64s, shapes: list[tuple[int, int]]) -> Layers:
    """Split a flat array into weight and bias of each layer."""
    layers, start = [], 0
    for outputs, inputs in shapes:
        middle, end = start + outputs * inputs, start + outputs * (inputs + 1)
        layers.append((flat_params[start:middle].reshape(outputs, inputs), flat_params[middle:end]))
        start = end
    return tuple(layers)
