"""Features and token vectors of a text in, the contribution of each token to the logit out.

With one linear layer the logit is bias + sum over j of w[j] * x[j], where x is the standardized feature vector. Mean
pooling makes x[j] a sum over tokens, so each token has its share; max pooling takes x[j] from one token, which gets all
of it. What rounding and clipping in `head.standardization` change is shared equally among the tokens of a mean. A token
counts against the average of the training data: one that is as usual contributes nothing.

With more layers there is no such sum. Then w is the gradient of the logit at x ("gradient times input"; Shrikumar et
al., 2016, https://arxiv.org/abs/1605.01713), and the bias is what the contributions leave of the logit.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sentiment.head.classifier import Classifier
from sentiment.head.mlp import forward, round_weights
from sentiment.head.standardization import standardize

Float64s = NDArray[np.float64]
Method = Literal["exact sum", "gradient times input"]


def token_contributions(
    head: Classifier, features: NDArray[np.float32], vectors: NDArray[np.float32], pooling: str
) -> tuple[float, Float64s, Method]:
    """Return logit, contribution of each token of shape (n_tokens,), and how it was computed.

    Args:
        head: the classifier.
        features: pooled vector of the text, shape (dim,).
        vectors: the encoder's last hidden state, shape (n_tokens, hidden_size).
        pooling: of `EncoderConfig`.
    """
    layers = round_weights(head.layers)
    x = standardize(features[None], head.mean, head.std).astype(np.float64)  # (1, dim)
    weights = gradient(layers, x)
    shares = token_shares(x[0], vectors.astype(np.float64), head, pooling)  # (n_tokens, dim)
    method: Method = "exact sum" if len(layers) == 1 else "gradient times input"
    return float(forward(layers, x)[0]), shares @ weights, method


def token_shares(x: Float64s, vectors: Float64s, head: Classifier, pooling: str) -> Float64s:
    """Return the share of each token in each standardized feature, shape (n_tokens, dim); columns add up to `x`."""
    n_tokens, hidden_size = vectors.shape
    if pooling == "cls":
        shares = np.zeros((n_tokens, hidden_size))
        shares[0] = x
        return shares
    blocks = []
    for start, kind in enumerate(kind for kind in ("mean", "max") if kind in pooling):
        columns = slice(start * hidden_size, (start + 1) * hidden_size)
        if kind == "mean":
            block = (vectors - head.mean[columns]) / (head.std[columns].astype(np.float64) * n_tokens)
            block += (x[columns] - block.sum(axis=0)) / n_tokens
        else:
            block = np.zeros((n_tokens, hidden_size))
            block[vectors.argmax(axis=0), np.arange(hidden_size)] = x[columns]
        blocks.append(block)
    return np.concatenate(blocks, axis=1)


def gradient(layers: Sequence[tuple[Float64s, Float64s]], x: Float64s) -> Float64s:
    """Return the gradient of the logit at `x`, shape (dim,); for one layer that is its weight.

    Args:
        layers: linear layers with ReLU between them; weight (outputs, inputs) and bias (outputs,).
        x: shape (1, dim).
    """
    masks, hidden = [], x
    for weight, bias in layers[:-1]:
        hidden = hidden @ weight.T + bias
        masks.append(hidden > 0)
        hidden = np.maximum(hidden, 0.0)
    grad = layers[-1][0]  # (1, inputs)
    for (weight, _), mask in zip(reversed(layers[:-1]), reversed(masks), strict=True):
        grad = (grad * mask) @ weight
    return np.asarray(grad[0], np.float64)
