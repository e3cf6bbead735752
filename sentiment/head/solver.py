"""Solve a linear head: logistic regression with an L2 penalty, by L-BFGS on all rows, many penalties at once.

    path = solve_path(Problems.of(train, val, "none"), PENALTIES)
    path.kept.l2, path.head.layers

The penalties share each pass over the features, which is most of the time. Each has a step length and a history of its
own (Nocedal and Wright, Numerical Optimization, 2006, algorithm 7.5), so its solution does not depend on the others.
Where words count beside the features (`head.words`), one problem has the weights of both.

scikit-learn's LogisticRegression, scipy's L-BFGS-B and BLAS's dot products differ from one processor to the next in the
last digits, which a line search turns into other weights. Here every product is on a grid (`numerics.arrays`), every
sum over rows or weights is a `tree_sum`, and nothing is drawn at random.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from sentiment.head.epoch_log import EpochMetrics
from sentiment.head.features import (
    CACHE_CHUNKS,
    X_BITS,
    ClassWeight,
    LabeledFeatures,
    StandardizedFeatures,
    class_costs,
    mean_and_std,
    rows_per_chunk,
)
from sentiment.head.mlp import Layers
from sentiment.head.words import STEP_BITS, WEIGHT_BITS, Tokens, Vocabulary, Words
from sentiment.numerics.arrays import approximate_sigmoid, bits_left, round_to_bits, softplus, tree_sum

Float32s = NDArray[np.float32]
Float64s = NDArray[np.float64]

PENALTIES = (10.0, 5.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 5e-3, 2e-3, 1e-3, 5e-4, 2e-4, 1e-4)  # of "auto"
REFERENCES = (1.0, 0.03, 0.001)  # penalties with a preconditioner, which the penalties near them share
CURVATURE = 0.18  # of the loss by the logit: p * (1 - p), 0.25 at most
INVERSE_BITS = 26
HISTORY = 10  # steps that L-BFGS remembers
TOLERANCE = 1e-5  # of the largest derivative of the mean loss, where scikit-learn stops at 1e-4
WORDS_TOLERANCE = 5e-5  # where words count: a weight is then within 0.002 of the solution for a penalty of 0.05
MIN_PIVOT = 1e-9  # of a matrix that is singular but for rounding
MAX_ITERATIONS = 300
SUFFICIENT_DECREASE = 1e-4  # of the loss, as a share of what the slope promises (Armijo)
MIN_STEP = 2.0**-20  # a shorter one is lost in the rounding of the loss
TEXTS_PER_MATRIX = 2**14  # of one sparse matrix: an error in each keeps 25 bits
# norm of a text's words, where a standardized feature has a std of 1; of 32, 64, 128 and 256 the lowest
# loss on val of the real reviews: 0.2441, 0.2409, 0.2393, 0.2427
SCALE = 128.0
UNIT = SCALE / 2**STEP_BITS
PENALTIES_AT_ONCE = 8  # where words count, so that the weaker half is solved only where it may be better


class WordMatrix:
    """TF-IDF times `SCALE` of texts, shape (n_samples, n_ngrams): sparse, 6 bytes for each n-gram of a text."""

    def __init__(self, vocabulary: Vocabulary, tokens: Tokens) -> None:
        self.n_ngrams: int = len(vocabulary)
        self._matrices = []
        for start in range(0, len(tokens), TEXTS_PER_MATRIX):
            chunk = tokens[start : start + TEXTS_PER_MATRIX]
            entries = vocabulary.entries(chunk)
            starts = np.searchsorted(entries.texts, np.arange(len(chunk) + 1)).astype(np.int32)
            steps = vocabulary.steps(entries).astype(np.int16)
            shape = len(chunk), self.n_ngrams
            self._matrices.append(csr_array((steps, entries.columns.astype(np.int32), starts), shape))

    def __matmul__(self, weights: Float64s) -> Float64s:
        """Return what the words add to the logits, for weights of shape (n_ngrams, n). # (n_samples, n)"""
        rounded = round_to_bits(weights, WEIGHT_BITS, axis=0) * UNIT
        return np.concatenate([matrix @ rounded for matrix in self._matrices])

    def transposed_times(self, errors: Float64s) -> Float64s:
        """Return the sum over the texts of words times errors, of shape (n_samples, n). # (n_ngrams, n)"""
        total, start = np.zeros((self.n_ngrams, errors.shape[1])), 0
        for matrix in self._matrices:
            n_texts = matrix.shape[0]
            rounded = round_to_bits(errors[start : start + n_texts], bits_left(STEP_BITS, n_texts), axis=0)
            total += np.asarray(matrix.T @ rounded)
            start += n_texts
        return np.asarray(total * UNIT)

    def mean_and_variance(self) -> tuple[Float64s, Float64s]:
        """Return mean and variance of each n-gram. # (n_ngrams,) each"""
        sums, squares, n_texts = np.zeros(self.n_ngrams), np.zeros(self.n_ngrams), 0
        for matrix in self._matrices:
            steps = matrix.data.astype(np.float64)
            sums += np.bincount(matrix.indices, steps, self.n_ngrams)
            squares += np.bincount(matrix.indices, steps * steps, self.n_ngrams)
            n_texts += matrix.shape[0]
        mean = sums * UNIT / n_texts
        return mean, squares * (UNIT * UNIT) / n_texts - mean * mean


@dataclass(frozen=True)
class Solutions:
    """Weights for each penalty, one column each.

    Attributes:
        weights: shape (n_weights, n_penalties): `dim` rows of features, the biases, and a row for each n-gram of words.
        dim: of the features.
        losses: mean cross-entropy (nats) with the penalty, shape (n_penalties,).
        converged: shape (n_penalties,).
    """

    weights: Float64s
    dim: int
    losses: Float64s
    converged: NDArray[np.bool_]

    def layers(self, penalty: int) -> Layers:
        """Return the solution of one penalty as the single layer of a head."""
        column = self.weights[:, penalty]
        return ((column[None, : self.dim].copy(), column[self.dim : self.dim + 1].copy()),)

    def words(self, penalty: int) -> Float64s:
        """Return the weights of the columns of `WordMatrix` for one penalty. # (n_ngrams,)"""
        return self.weights[self.dim + 1 :, penalty].copy()


@dataclass(frozen=True)
class Problem:
    """Labeled rows, and what an error in each costs.

    Attributes:
        x: standardized features, shape (n_samples, dim).
        labels: 0 or 1, shape (n_samples,).
        costs: weight of each row in the mean loss, shape (n_samples,); see `head.features.class_costs`.
        words: beside the features; None where they do not count.
        inverses: of `inverse`, by penalty; the same features without words share them, in another thread.
        lock: held while an inverse is computed, once.
    """

    x: StandardizedFeatures
    labels: Float64s
    costs: Float64s
    words: WordMatrix | None = None
    inverses: dict[float, Float64s] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock, compare=False)

    @property
    def n_weights(self) -> int:
        """Features, bias and n-grams."""
        return int(self.x.dim) + 1 + (self.words.n_ngrams if self.words else 0)

    def losses_and_accuracies(self, weights: Float64s) -> tuple[Float64s, Float64s]:
        """Return mean loss (nats) without penalty, and accuracy at a probability of 0.5. # (n_penalties,) each"""
        losses, n_correct = np.zeros(weights.shape[1]), np.zeros(weights.shape[1])
        for _, labels, costs, logits in self._chunks(weights):
            losses += tree_sum((softplus(logits) - labels * logits) * costs)
            n_correct += np.count_nonzero((logits >= 0) == labels, axis=0)
        return losses / len(self.labels), n_correct / len(self.labels)

    def losses_and_gradients(self, weights: Float64s) -> tuple[Float64s, Float64s]:
        """Return mean loss (nats) and its gradient without penalty. # (n_penalties,), (n_weights, n_penalties)"""
        dim, losses, gradients = self.x.dim, np.zeros(weights.shape[1]), np.zeros(weights.shape)
        all_errors = []
        for x, labels, costs, logits in self._chunks(weights):
            losses += tree_sum((softplus(logits) - labels * logits) * costs)
            errors = (approximate_sigmoid(logits) - labels) * costs
            if self.words:
                all_errors.append(errors)
            errors = round_to_bits(errors, bits_left(X_BITS, len(x)), axis=0)
            gradients[:dim] += x.T @ errors
            gradients[dim] += np.add.reduce(errors, axis=0)  # exact: errors are on a grid
        if self.words:
            gradients[dim + 1 :] = self.words.transposed_times(np.concatenate(all_errors))
        return losses / len(self.labels), gradients / len(self.labels)

    def inverse(self, penalty: float) -> Float64s:
        """Return the inverse of CURVATURE * mean products + penalty on the diagonal. # (dim + 1, dim + 1)"""
        with self.lock:
            if penalty not in self.inverses:
                matrix = CURVATURE * self.x.mean_products
                weights = np.arange(self.x.dim)  # the bias, which is last, has no penalty
                matrix[weights, weights] += penalty
                self.inverses[penalty] = round_to_bits(_inverse(matrix), INVERSE_BITS)
            return self.inverses[penalty]

    def _chunks(self, weights: Float64s) -> Iterator[tuple[Float64s, Float64s, Float64s, Float64s]]:
        """Yield x (rows, dim), labels and costs (rows, 1), and the saved head's logits (rows, n_penalties)."""
        dim = self.x.dim
        rounded = round_to_bits(weights[:dim], bits_left(X_BITS, dim), axis=0)
        from_words = self.words @ weights[dim + 1 :] if self.words else None
        size = CACHE_CHUNKS * rows_per_chunk(dim)
        for start in range(0, len(self.labels), size):
            rows = slice(start, start + size)
            x = self.x[rows]
            logits = x @ rounded + weights[dim]
            if from_words is not None:
                logits += from_words[rows]
            yield x, self.labels[rows, None], self.costs[rows, None], logits


@dataclass(frozen=True)
class LinearHead:
    """What is solved.

    Attributes:
        mean, std: of the train features, shape (dim,).
        layers: one.
        words: beside the features; None where they do not count.
    """

    mean: Float32s
    std: Float32s
    layers: Layers = ()
    words: Words | None = None

    @classmethod
    def before(cls, train: LabeledFeatures) -> Self:
        """Return what train decides before anything is solved: mean, std, and the n-grams, without weights."""
        vocabulary = Vocabulary.fit(train.tokens) if train.tokens else None
        words = Words(vocabulary, np.zeros(len(vocabulary))) if vocabulary else None
        return cls(*mean_and_std(train.features), words=words)

    def problem(self, split: LabeledFeatures, by_class: Float64s) -> Problem:
        """Return a split, standardized; `by_class` is what an error in each class costs. # (2,)"""
        x = StandardizedFeatures(split.features, self.mean, self.std)
        words = WordMatrix(self.words.vocabulary, split.tokens) if self.words and split.tokens else None
        return Problem(x, split.labels, by_class[split.labels.astype(np.intp)], words)

    def solved(self, solutions: Solutions, penalty: int) -> Self:
        """Return the head of one penalty."""
        words = self.words and replace(self.words, weights=solutions.words(penalty) * SCALE)
        return replace(self, layers=solutions.layers(penalty), words=words)


@dataclass(frozen=True)
class Problems:
    """Train and val, and the head that is solved for them.

    Attributes:
        head: without weights.
        train, val: standardized by it, with its words.
    """

    head: LinearHead
    train: Problem
    val: Problem

    @classmethod
    def of(cls, train: LabeledFeatures, val: LabeledFeatures, class_weight: ClassWeight) -> Self:
        """Return those of two splits; `class_weight` is of `class_costs`, and the losses of both are weighted by it."""
        head, by_class = LinearHead.before(train), class_costs(train.labels, class_weight)
        return cls(head, head.problem(train, by_class), head.problem(val, by_class))

    def without_words(self) -> Self:
        """Return the same of the features alone."""
        train, val = (replace(one, words=None) for one in (self.train, self.val))
        return replace(self, head=replace(self.head, words=None), train=train, val=val)


@dataclass(frozen=True)
class PenaltyPath:
    """Heads for the penalties of a path.

    Attributes:
        metrics: by penalty.
        kept: the metrics of lowest validation loss.
        head: that is kept.
    """

    metrics: list[EpochMetrics]
    kept: EpochMetrics
    head: LinearHead


def solve_path(
    problems: Problems, penalties: Sequence[float], on_pass: Callable[[], object] = lambda: None
) -> PenaltyPath:
    """Solve for every penalty, and keep the first of lowest validation loss.

    Where words count, `PENALTIES_AT_ONCE` are solved together, and none after those among which the loss rises again:
    weak penalties take many iterations, in which the words learn the labels of train by heart.

    Args:
        penalties: at least 0; the stronger ones first.
        on_pass: called after every iteration.
    """
    head = problems.head
    metrics: list[EpochMetrics] = []
    kept: EpochMetrics | None = None
    size = PENALTIES_AT_ONCE if head.words else len(penalties)
    for first in range(0, len(penalties), size):
        for solutions in solve(problems.train, np.array(penalties[first : first + size])):  # noqa: B007, the last ones count
            on_pass()
        measured = zip(
            *problems.train.losses_and_accuracies(solutions.weights),
            *problems.val.losses_and_accuracies(solutions.weights),
            strict=True,
        )
        for column, (train_loss, train_accuracy, val_loss, val_accuracy) in enumerate(measured):
            number = first + column
            numbers = (float(train_loss), float(train_accuracy), float(val_loss), float(val_accuracy))
            improved = kept is None or numbers[2] < kept.val_loss
            metrics.append(EpochMetrics(number, *numbers, improved=improved, l2=penalties[number]))
            if improved:
                kept, head = metrics[-1], head.solved(solutions, column)
        if kept is not metrics[-1]:
            break
    assert kept is not None
    return PenaltyPath(metrics, kept, head)


def refit(train: LabeledFeatures, val: LabeledFeatures, path: PenaltyPath, class_weight: ClassWeight) -> PenaltyPath:
    """Solve again on train and val, for the penalty that is kept: a fifth of few reviews is too many to leave out."""
    both = train.joined(val)
    head = LinearHead.before(both)
    rows = head.problem(both, class_costs(both.labels, class_weight))
    *_, solutions = solve(rows, np.array([path.kept.l2]))
    return replace(path, head=head.solved(solutions, 0))


def solve(problem: Problem, penalties: Float64s, max_iterations: int = MAX_ITERATIONS) -> Iterator[Solutions]:
    """Minimize mean loss + penalty / 2 * sum(weights^2), biases free; yield the solutions after each iteration.

    The last ones are converged, or as far as `max_iterations` go. A penalty that has converged costs nothing more.
    scikit-learn's C is 1 / (penalty * n_samples).

    Args:
        penalties: at least 0, shape (n_penalties,).
    """
    dim, tolerance = problem.x.dim, WORDS_TOLERANCE if problem.words else TOLERANCE

    def evaluate(weights: Float64s, penalties: Float64s) -> tuple[Float64s, Float64s]:
        losses, gradients = problem.losses_and_gradients(weights)
        for rows in (slice(dim), slice(dim + 1, len(weights))):  # all but the biases
            if len(part := weights[rows]):
                losses = losses + penalties / 2 * tree_sum(part * part)
                gradients[rows] += penalties * part
        return losses, gradients

    weights = np.zeros((problem.n_weights, len(penalties)))
    losses, gradients = evaluate(weights, penalties)
    history = _History(_Preconditioner(problem, penalties))
    stuck = np.zeros(len(penalties), np.bool_)  # no step is an improvement that float64 can tell
    for _ in range(max_iterations):
        converged = stuck | (np.abs(gradients).max(axis=0) <= tolerance)
        yield Solutions(weights, dim, losses, converged)
        if converged.all():
            return
        direction = -history.inverse_hessian_times(gradients)
        slope = tree_sum(direction * gradients)
        moved, moved_losses, moved_gradients = weights.copy(), losses.copy(), gradients.copy()
        steps = np.ones(len(penalties))
        moving = np.flatnonzero(~converged)
        while len(moving):
            there = weights[:, moving] + steps[moving] * direction[:, moving]
            there_losses, there_gradients = evaluate(there, penalties[moving])
            good = there_losses <= losses[moving] + SUFFICIENT_DECREASE * steps[moving] * slope[moving]
            arrived = moving[good]
            moved[:, arrived], moved_losses[arrived] = there[:, good], there_losses[good]
            moved_gradients[:, arrived] = there_gradients[:, good]
            moving = moving[~good]
            steps[moving] /= 2
            stuck[moving] = steps[moving] < MIN_STEP
            moving = moving[~stuck[moving]]
        history.add(moved - weights, moved_gradients - gradients)
        weights, losses, gradients = moved, moved_losses, moved_gradients
    yield Solutions(weights, dim, losses, stuck | (np.abs(gradients).max(axis=0) <= tolerance))


class _Preconditioner:
    """The inverse of roughly the second derivatives: `Problem.inverse` for the reference nearest to each penalty.

    On features that correlate it takes a tenth of the passes. For words it is the diagonal alone, of the words minus
    their means, which the bias makes up for. Frequent words are nearly constant, so else most passes would look for the
    bias: of the real reviews, 161 instead of 55 for penalties from 0.5 to 0.05.
    """

    def __init__(self, problem: Problem, penalties: Float64s) -> None:
        distances = np.abs(np.array(REFERENCES)[:, None] / np.maximum(penalties, 1e-9) - 1)
        nearest = distances.argmin(axis=0)
        self._inverses = [  # of each reference that is used, with the numbers of its penalties
            (np.flatnonzero(nearest == number), problem.inverse(REFERENCES[number])) for number in np.unique(nearest)
        ]
        self._dense = problem.x.dim + 1
        if problem.words:
            mean, variance = problem.words.mean_and_variance()
            self._mean = mean[:, None]
            self._diagonal = CURVATURE * variance[:, None] + np.maximum(penalties, MIN_PIVOT)

    def __matmul__(self, columns: Float64s) -> Float64s:
        """Return the product for each column. # (n_weights, n_penalties)"""
        n = self._dense
        rounded = round_to_bits(columns[:n], bits_left(INVERSE_BITS, n), axis=0)
        result = np.empty_like(columns)
        for numbers, inverse in self._inverses:
            result[:n, numbers] = inverse @ rounded[:, numbers]
        if len(columns) > n:
            words = (columns[n:] - self._mean * columns[n - 1]) / self._diagonal
            result[n:] = words
            result[n - 1] -= tree_sum(self._mean * words)
        return result


def _inverse(matrix: Float64s) -> Float64s:
    """Return the inverse of a positive definite matrix, by its Cholesky factor, with element-wise operations only.

    Golub and Van Loan, Matrix Computations, 2013, algorithms 4.2.2 and 3.1.3. LAPACK's bits differ between processors.
    """
    n = len(matrix)
    rest, by_column, x = matrix.copy(), np.zeros_like(matrix), np.eye(n)
    for k in range(n):
        column = rest[k:, k] / np.sqrt(np.maximum(rest[k, k], MIN_PIVOT))
        by_column[k, k:] = column
        rest[k + 1 :, k + 1 :] -= column[1:, None] * column[1:]
        x[k, : k + 1] /= column[0]
        x[k + 1 :, : k + 1] -= column[1:, None] * x[k, : k + 1]
    by_row = by_column.T.copy()
    for k in reversed(range(n)):
        x[k] /= by_row[k, k]
        x[:k] -= by_row[k, :k, None] * x[k]
    return x


class _History:
    """The last steps and how the gradient changed with them, for each penalty; L-BFGS's two loops."""

    def __init__(self, preconditioner: _Preconditioner) -> None:
        self._preconditioner = preconditioner
        self._scale: Float64s | float = 1.0
        self._steps: list[tuple[Float64s, Float64s, Float64s]] = []  # step, change of gradient, 1 / their product

    def add(self, step: Float64s, change: Float64s) -> None:
        """Remember a step; where it has no curvature, as for a penalty that rests, it counts as none."""
        product = tree_sum(step * change)
        inverse = np.divide(1.0, product, out=np.zeros_like(product), where=product > 0)
        self._steps = [*self._steps[1 - HISTORY :], (step, change, inverse)]
        curvature = inverse * tree_sum(change * (self._preconditioner @ change))  # along the step
        self._scale = np.divide(1.0, curvature, out=np.ones_like(curvature), where=curvature > 0)

    def inverse_hessian_times(self, gradients: Float64s) -> Float64s:
        """Return the product for each column. # (n_weights, n_penalties)"""
        result = gradients.copy()
        shares = []
        for step, change, inverse in reversed(self._steps):
            share = inverse * tree_sum(step * result)
            result -= share * change
            shares.append(share)
        result = self._scale * (self._preconditioner @ result)
        for (step, change, inverse), share in zip(self._steps, reversed(shares), strict=True):
            result += step * (share - inverse * tree_sum(change * result))
        return result
