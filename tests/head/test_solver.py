"""The solved head is scikit-learn's logistic regression, for each penalty as if it were alone."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from sentiment.head.solver import TOLERANCE, Problem, solve
from sentiment.head.standardization import StandardizedFeatures, mean_and_std

PENALTIES = np.array([0.001, 0.01, 0.1, 1.0])


@pytest.fixture(scope="module")
def problem() -> Problem:
    """600 rows of 40 correlated features of different scales, a third of them positive."""
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(600, 40)) @ rng.normal(size=(40, 40)) * np.arange(1, 41)).astype(np.float32)
    labels = (features[:, 0] + rng.normal(size=600) * features[:, 0].std() > features[:, 0].std() * 0.6).astype(float)
    return Problem.of(StandardizedFeatures(features, *mean_and_std(features)), labels, "none")


def last(problem: Problem, penalties: np.ndarray, max_iterations: int = 300):  # type: ignore[no-untyped-def]
    *_, solutions = solve(problem, penalties, max_iterations)
    return solutions


def test_it_is_the_solution_of_scikit_learn(problem: Problem) -> None:
    solutions = last(problem, PENALTIES)
    assert solutions.converged.all()
    x = problem.x[slice(None)]
    for index, penalty in enumerate(PENALTIES):
        expected = LogisticRegression(C=1 / (penalty * len(x)), tol=1e-10, max_iter=10_000).fit(x, problem.labels)
        (weight, bias) = solutions.layers(index)[0]
        assert weight == pytest.approx(expected.coef_, abs=3e-4)
        assert bias == pytest.approx(expected.intercept_, abs=3e-4)


def test_a_penalty_has_the_same_solution_alone_and_among_others(problem: Problem) -> None:
    together = last(problem, PENALTIES)
    for index, penalty in enumerate(PENALTIES):
        alone = last(problem, np.array([penalty]))
        assert (alone.weights[:, 0] == together.weights[:, index]).all()


def test_balanced_classes_are_those_of_scikit_learn(problem: Problem) -> None:
    balanced = Problem.of(problem.x, problem.labels, "balanced")
    assert balanced.costs.mean() == pytest.approx(1.0)
    x = problem.x[slice(None)]
    expected = LogisticRegression(C=1 / (0.1 * len(x)), class_weight="balanced", tol=1e-10, max_iter=10_000)
    expected.fit(x, problem.labels)
    (weight, _) = last(balanced, np.array([0.1])).layers(0)[0]
    assert weight == pytest.approx(expected.coef_, abs=3e-4)


def test_losses_fall_and_iterations_end(problem: Problem) -> None:
    iterations = list(solve(problem, np.array([0.0]), 25))  # separable or not: no penalty
    losses = [float(one.losses[0]) for one in iterations]
    assert len(losses) == 26
    assert losses == sorted(losses, reverse=True)
    assert losses[0] == pytest.approx(np.log(2))
    _, gradients = problem.losses_and_gradients(last(problem, PENALTIES).weights)
    assert np.abs(gradients[-1]).max() <= TOLERANCE  # of the biases, which have no penalty
