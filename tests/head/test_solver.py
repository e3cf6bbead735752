"""The solved head is scikit-learn's logistic regression, for each penalty as if it were alone."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array, hstack
from sklearn.linear_model import LogisticRegression

from sentiment.head.features import LabeledFeatures, StandardizedFeatures, class_costs, mean_and_std
from sentiment.head.solver import PENALTIES as PATH
from sentiment.head.solver import (
    PENALTIES_AT_ONCE,
    TOLERANCE,
    UNIT,
    LinearHead,
    Problem,
    Problems,
    Solutions,
    refit,
    solve,
    solve_path,
)
from sentiment.head.words import Tokens

PENALTIES = np.array([0.001, 0.01, 0.1, 1.0])


@pytest.fixture(scope="module")
def problem() -> Problem:
    """600 rows of 40 correlated features of different scales, a third of them positive."""
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(600, 40)) @ rng.normal(size=(40, 40)) * np.arange(1, 41)).astype(np.float32)
    labels = (features[:, 0] + rng.normal(size=600) * features[:, 0].std() > features[:, 0].std() * 0.6).astype(float)
    return Problem(StandardizedFeatures(features, *mean_and_std(features)), labels, np.ones(600))


def last(problem: Problem, penalties: np.ndarray) -> Solutions:
    *_, solutions = solve(problem, penalties)
    return solutions


def test_it_is_the_solution_of_scikit_learn(problem: Problem) -> None:
    solutions = last(problem, PENALTIES)
    assert solutions.converged.all()
    x = problem.x[slice(None)]
    for index, penalty in enumerate(PENALTIES):
        expected = LogisticRegression(C=1 / (penalty * len(x)), tol=1e-10, max_iter=10_000).fit(x, problem.labels)
        (weight, bias) = solutions.layers(index)[0]
        assert weight == pytest.approx(expected.coef_, abs=2e-3)
        assert bias == pytest.approx(expected.intercept_, abs=2e-3)


def test_a_penalty_has_the_same_solution_alone_and_among_others(problem: Problem) -> None:
    together = last(problem, PENALTIES)
    for index, penalty in enumerate(PENALTIES):
        alone = last(problem, np.array([penalty]))
        assert (alone.weights[:, 0] == together.weights[:, index]).all()


def test_balanced_classes_are_those_of_scikit_learn(problem: Problem) -> None:
    costs = class_costs(problem.labels, "balanced")[problem.labels.astype(int)]
    balanced = Problem(problem.x, problem.labels, costs)
    assert balanced.costs.mean() == pytest.approx(1.0)
    x = problem.x[slice(None)]
    expected = LogisticRegression(C=1 / (0.1 * len(x)), class_weight="balanced", tol=1e-10, max_iter=10_000)
    expected.fit(x, problem.labels)
    (weight, _) = last(balanced, np.array([0.1])).layers(0)[0]
    assert weight == pytest.approx(expected.coef_, abs=2e-3)


def test_losses_fall_until_the_gradient_is_flat(problem: Problem) -> None:
    iterations = list(solve(problem, PENALTIES))
    losses = np.array([one.losses for one in iterations])  # (iterations, penalties)
    assert (np.diff(losses, axis=0) <= 0).all()
    assert losses[0] == pytest.approx(np.log(2))
    assert len(iterations) < 25
    _, gradients = problem.losses_and_gradients(iterations[-1].weights)
    assert np.abs(gradients[-1]).max() <= TOLERANCE  # of the biases, which have no penalty


@pytest.mark.parametrize("separable", [False, True])
def test_iterations_end_without_a_penalty(problem: Problem, separable: bool) -> None:
    x = problem.x[slice(None)]
    labels = (x[:, 0] > 0).astype(float) if separable else problem.labels
    *_, end = solve(Problem(problem.x, labels, problem.costs), np.array([0.0]), 50)
    assert np.isfinite(end.weights).all()
    assert end.losses[0] < np.log(2)


def test_constant_and_equal_features_have_a_solution() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(50, 6)).astype(np.float32)
    features[:, 1], features[:, 2] = 3.0, features[:, 0]
    labels = (features[:, 0] > 0).astype(float)
    split = LabeledFeatures(features, labels)
    path = solve_path(Problems.of(split, split, "none"), tuple(PENALTIES))
    weight = path.head.layers[0][0][0]
    assert path.kept.l2 == min(PENALTIES)  # val is train
    assert weight[1] == 0
    assert weight[0] == pytest.approx(weight[2], rel=1e-3)


def test_the_penalty_of_lowest_validation_loss_is_kept(problem: Problem) -> None:
    x = problem.x[slice(None)].astype(np.float32)
    train, val = (LabeledFeatures(x[rows], problem.labels[rows]) for rows in (slice(400), slice(400, 600)))
    path = solve_path(Problems.of(train, val, "none"), tuple(PENALTIES))
    assert [one.l2 for one in path.metrics] == list(PENALTIES)
    assert path.kept.val_loss == min(one.val_loss for one in path.metrics)
    assert path.metrics[0].train_loss < path.metrics[-1].train_loss  # the weakest penalty comes first in this list


@pytest.fixture(scope="module")
def with_words() -> LabeledFeatures:
    """1,500 rows of 20 features and a thousand n-grams, both of which tell the label."""
    rng = np.random.default_rng(0)
    texts = [(rng.zipf(1.4, rng.integers(1, 40)) % 300).tolist() for _ in range(1_500)]
    features = (rng.normal(size=(1_500, 20)) @ rng.normal(size=(20, 20))).astype(np.float32)
    of_token = rng.normal(size=300)
    signal = np.array([of_token[list(set(text))].sum() for text in texts])
    labels = (signal + features[:, 0] / 5 + rng.normal(size=1_500) / 2 > np.median(signal)).astype(float)
    return LabeledFeatures(features, labels, Tokens.of(texts))


def test_words_are_solved_with_the_features_as_by_scikit_learn(with_words: LabeledFeatures) -> None:
    head = LinearHead.before(with_words)
    problem = head.problem(with_words, np.ones(2))
    penalties = np.array([5.0, 0.5, 0.2, 0.05])
    solutions = last(problem, penalties)
    assert solutions.converged.all()
    assert head.words is not None
    assert with_words.tokens is not None
    entries = head.words.vocabulary.entries(with_words.tokens)
    words = csr_array((head.words.vocabulary.steps(entries) * UNIT, (entries.texts, entries.columns)))
    x = csr_array(hstack([csr_array(problem.x[slice(None)]), words]))
    for index, penalty in enumerate(penalties):
        expected = LogisticRegression(C=1 / (penalty * 1_500), tol=1e-8, max_iter=10_000).fit(x, with_words.labels)
        (weight, bias) = solutions.layers(index)[0]
        found = np.concatenate([weight[0], solutions.words(index)])
        assert found == pytest.approx(expected.coef_[0], abs=2e-3)
        assert bias == pytest.approx(expected.intercept_, rel=1e-2)


def test_the_path_with_words_ends_after_the_group_in_which_the_loss_rises(with_words: LabeledFeatures) -> None:
    is_train = np.arange(1_500) < 1_200
    path = solve_path(Problems.of(with_words[is_train], with_words[~is_train], "none"), PATH)
    losses = [one.val_loss for one in path.metrics]
    assert path.kept.val_loss == min(losses) < losses[-1]
    assert len(losses) - PENALTIES_AT_ONCE <= path.kept.number < len(losses) < len(PATH)
    assert len(losses) % PENALTIES_AT_ONCE == 0
    without = replace(with_words, tokens=None)
    of_features = solve_path(Problems.of(without[is_train], without[~is_train], "none"), PATH)
    assert path.kept.val_loss < of_features.kept.val_loss
    both = refit(with_words[is_train], with_words[~is_train], path, "none").head
    assert path.head.words is not None
    assert both.words is not None
    assert len(both.words.vocabulary) > len(path.head.words.vocabulary)


def test_texts_without_an_ngram_of_five_reviews_have_a_head_of_features(problem: Problem) -> None:
    x = problem.x[slice(None)].astype(np.float32)
    tokens = Tokens.of([[number] for number in range(600)])
    split = LabeledFeatures(x, problem.labels, tokens)
    path = solve_path(Problems.of(split, split, "none"), (1.0,))
    assert path.head.words is None
