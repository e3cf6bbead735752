"""Solve a linear head: logistic regression with an L2 penalty, by L-BFGS on all rows, many penalties at once.

    for number, solutions in enumerate(solve(problem, penalties)):
        ...  # the last ones are converged

The penalties share each pass over the features, which is most of the time. Each has a step length and a history of its
own (Nocedal and Wright, Numerical Optimization, 2006, algorithm 7.5), so its solution does not depend on the others.
scikit-learn's LogisticRegression, scipy's L-BFGS-B and BLAS's dot products differ from one processor to the next in the
last digits, which a line search turns into other weights. Here every product is on a grid (`numerics.arrays`), every
sum over rows or weights is a `tree_sum`, and nothing is drawn at random.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from sentiment.head.mlp import Layers
from sentiment.head.standardization import X_BITS, StandardizedFeatures, rows_per_chunk
from sentiment.numerics.arrays import approximate_sigmoid, bits_left, round_to_bits, softplus, tree_sum

Float64s = NDArray[np.float64]
ClassWeight = Literal["none", "balanced"]

HISTORY = 10  # steps that L-BFGS remembers
TOLERANCE = 1e-6  # of the largest derivative of the mean loss, where scikit-learn stops at 1e-4
MAX_ITERATIONS = 300
SUFFICIENT_DECREASE = 1e-4  # of the loss, as a share of what the slope promises (Armijo)
MIN_STEP = 2.0**-20  # a shorter one is lost in the rounding of the loss
CACHE_CHUNKS = 8  # of `rows_per_chunk` handled together: some 500 rows, for which NumPy's calls cost little


@dataclass(frozen=True)
class Solutions:
    """Weights for each penalty, one column each.

    Attributes:
        weights: shape (dim + 1, n_penalties); the last row are the biases.
        losses: mean cross-entropy (nats) with the penalty, shape (n_penalties,).
        converged: shape (n_penalties,).
    """

    weights: Float64s
    losses: Float64s
    converged: NDArray[np.bool_]

    def layers(self, penalty: int) -> Layers:
        """Return the solution of one penalty as the single layer of a head."""
        column = self.weights[:, penalty]
        return ((column[None, :-1].copy(), column[-1:].copy()),)


@dataclass(frozen=True)
class Problem:
    """Labeled rows, and what an error in each costs.

    Attributes:
        x: standardized features, shape (n_samples, dim).
        labels: 0 or 1, shape (n_samples,).
        costs: weight of each row in the mean loss, shape (n_samples,), 1 on average.
    """

    x: StandardizedFeatures
    labels: Float64s
    costs: Float64s

    @classmethod
    def of(cls, x: StandardizedFeatures, labels: Float64s, class_weight: ClassWeight) -> Self:
        """Return the problem; "balanced" lets both classes weigh as much: n_samples / (2 n_samples_of_class)."""
        costs = np.ones(len(labels))
        if class_weight == "balanced":
            n_positive = np.count_nonzero(labels)
            costs = np.where(labels == 1, len(labels) / (2 * n_positive), len(labels) / (2 * (len(labels) - n_positive)))
        return cls(x, labels, costs)

    def losses(self, weights: Float64s) -> Float64s:
        """Return the mean loss (nats) without penalty of each column of weights. # (n_penalties,)"""
        return self.losses_and_gradients(weights)[0]

    def losses_and_gradients(self, weights: Float64s) -> tuple[Float64s, Float64s]:
        """Return mean loss and its gradient without penalty. # (n_penalties,), (dim + 1, n_penalties)"""
        dim, n = len(weights) - 1, len(self.labels)
        rounded = round_to_bits(weights[:-1], bits_left(X_BITS, dim), axis=0)
        losses, gradients = np.zeros(weights.shape[1]), np.zeros(weights.shape)
        size = CACHE_CHUNKS * rows_per_chunk(dim)
        for start in range(0, n, size):
            rows = slice(start, start + size)
            x, labels, costs = self.x[rows], self.labels[rows, None], self.costs[rows, None]
            logits = x @ rounded + weights[-1]  # (rows, n_penalties)
            losses += tree_sum((softplus(logits) - labels * logits) * costs)
            errors = (approximate_sigmoid(logits) - labels) * costs
            errors = round_to_bits(errors, bits_left(X_BITS, len(x)), axis=0)
            gradients[:-1] += x.T @ errors
            gradients[-1] += np.add.reduce(errors, axis=0)  # exact: errors are on a grid
        return losses / n, gradients / n


def solve(problem: Problem, penalties: Float64s, max_iterations: int = MAX_ITERATIONS) -> Iterator[Solutions]:
    """Minimize mean loss + penalty / 2 * sum(weights^2), biases free; yield the solutions after each iteration.

    The last ones are converged, or the best after `max_iterations`. scikit-learn's C is 1 / (penalty * n_samples).

    Args:
        penalties: at least 0, shape (n_penalties,).
    """

    def evaluate(weights: Float64s) -> tuple[Float64s, Float64s]:
        losses, gradients = problem.losses_and_gradients(weights)
        losses = losses + penalties / 2 * tree_sum(weights[:-1] * weights[:-1])
        gradients[:-1] += penalties * weights[:-1]
        return losses, gradients

    weights = np.zeros((problem.x.dim + 1, len(penalties)))
    losses, gradients = evaluate(weights)
    history = _History()
    stuck = np.zeros(len(penalties), np.bool_)  # no step is an improvement that float64 can tell
    for _ in range(max_iterations):
        converged = stuck | (np.abs(gradients).max(axis=0) <= TOLERANCE)
        yield Solutions(weights, losses, converged)
        if converged.all():
            return
        direction = -history.inverse_hessian_times(gradients)
        slope = tree_sum(direction * gradients)
        steps = np.where(converged, 0.0, 1.0)
        while True:
            moved = weights + steps * direction
            moved_losses, moved_gradients = evaluate(moved)
            too_far = ~(moved_losses <= losses + SUFFICIENT_DECREASE * steps * slope)
            too_far &= steps > 0
            if not too_far.any():
                break
            steps = np.where(too_far, steps / 2, steps)
            stuck |= too_far & (steps < MIN_STEP)
            steps = np.where(stuck, 0.0, steps)
        history.add(moved - weights, moved_gradients - gradients)
        weights, losses, gradients = moved, moved_losses, moved_gradients
    yield Solutions(weights, losses, np.abs(gradients).max(axis=0) <= TOLERANCE)


class _History:
    """The last steps and how the gradient changed with them, for each penalty; L-BFGS's two loops."""

    def __init__(self) -> None:
        self._steps: list[tuple[Float64s, Float64s, Float64s]] = []  # step, change of gradient, 1 / their product

    def add(self, step: Float64s, change: Float64s) -> None:
        """Remember a step; where it has no curvature, as for a penalty that rests, it counts as none."""
        product = tree_sum(step * change)
        inverse = np.divide(1.0, product, out=np.zeros_like(product), where=product > 0)
        self._steps = [*self._steps[1 - HISTORY :], (step, change, inverse)]

    def inverse_hessian_times(self, gradients: Float64s) -> Float64s:
        """Return the product for each column. # (dim + 1, n_penalties)"""
        result = gradients.copy()
        shares = []
        for step, change, inverse in reversed(self._steps):
            share = inverse * tree_sum(step * result)
            result -= share * change
            shares.append(share)
        result *= self._scale(gradients)
        for (step, change, inverse), share in zip(self._steps, reversed(shares), strict=True):
            result += step * (share - inverse * tree_sum(change * result))
        return result

    def _scale(self, gradients: Float64s) -> Float64s:
        """Return the curvature along the last step, or what makes the first step one of length 1 at most."""
        if not self._steps:
            return 1.0 / np.maximum(1.0, np.sqrt(tree_sum(gradients * gradients)))
        _, change, inverse = self._steps[-1]
        curvature = inverse * tree_sum(change * change)
        return np.divide(1.0, curvature, out=np.ones_like(curvature), where=curvature > 0)
