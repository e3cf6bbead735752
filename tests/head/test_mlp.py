"""The head's own gradients and optimizer, against torch's autograd and AdamW."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from sentiment.head.features import FINE_STEPS, STEPS, LabeledFeatures, StandardizedFeatures, mean_and_std, standardize
from sentiment.head.mlp import Head, forward, round_weights
from sentiment.head.training import AdamW, loss_and_accuracy, train_head


def on_grid(values: np.ndarray, steps: int = STEPS) -> np.ndarray:
    """Values of shape (n, dim) as standardized features are, as float64."""
    zeros, ones = np.zeros(values.shape[1], np.float32), np.ones(values.shape[1], np.float32)
    return standardize(values.astype(np.float32), zeros, ones, steps).astype(float)


@pytest.mark.parametrize("sizes", [[7, 1], [7, 5, 1], [7, 5, 5, 1]])
def test_gradients_and_steps_are_those_of_torch(sizes: list[int]) -> None:
    rng = np.random.default_rng(0)
    head = Head(sizes, rng)
    modules: list[torch.nn.Module] = []
    for depth, (weight, bias) in enumerate(head.layers):
        linear = torch.nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
        linear.weight.data, linear.bias.data = torch.tensor(weight), torch.tensor(bias)  # float64
        modules += [linear] if not depth else [torch.nn.ReLU(), linear]
    network = torch.nn.Sequential(*modules)
    own_optimizer = AdamW(head.flat_params, 0.01, 0.1)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01, weight_decay=0.1)
    for _ in range(20):
        features = on_grid(rng.standard_normal((16, 7)))
        labels = rng.integers(0, 2, 16).astype(np.float64)
        head.backward(features, labels, np.ones(len(labels)), 0.0, rng)
        own_optimizer.step(head.grad)
        optimizer.zero_grad()
        logits = network(torch.from_numpy(features)).squeeze(1)
        torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(labels)).backward()
        optimizer.step()
        expected = np.concatenate(
            [param.grad.numpy().ravel() for param in network.parameters() if param.grad is not None]
        )
        np.testing.assert_allclose(head.grad, expected, atol=1e-6)
    trained = np.concatenate([parameter.detach().numpy().ravel() for parameter in network.parameters()])
    np.testing.assert_allclose(head.flat_params, trained, atol=2e-6)


def test_an_l2_penalty_leads_to_the_weights_of_logistic_regression() -> None:
    rng = np.random.default_rng(0)
    n, l2 = 600, 0.05
    features = rng.standard_normal((n, 6)).astype(np.float32)
    part = LabeledFeatures(features, (features[:, 0] + rng.normal(0, 0.7, n) > 0.2).astype(np.float64))
    mean, std = mean_and_std(features)
    head = Head([6, 1], rng)
    settings: dict[str, Any] = {"dropout": 0.0, "learning_rate": 0.01, "weight_decay": 0.0, "batch_size": n}
    for _ in train_head(head, mean, std, part, part, rng, l2=l2, epochs=1_500, **settings):
        pass
    expected = LogisticRegression(C=1 / (l2 * n), tol=1e-8).fit((features - mean) / std, part.labels)
    weight, bias = head.layers[0]
    np.testing.assert_allclose(weight, expected.coef_, atol=2e-3)
    np.testing.assert_allclose(bias, expected.intercept_, atol=2e-3)


def test_dropout_leaves_the_mean_gradient_as_it_is() -> None:
    rng = np.random.default_rng(0)
    head = Head([6, 64, 1], rng)
    features, labels = on_grid(rng.standard_normal((8, 6), np.float32)), np.ones(8)
    head.backward(features, labels, np.ones(len(labels)), 0.0, rng)
    without = head.grad[-65:].copy()  # of the last layer, which sees the hidden numbers
    drawn = []
    for _ in range(3000):
        head.backward(features, labels, np.ones(len(labels)), 0.5, rng)
        drawn.append(head.grad[-65:].copy())
    assert np.std(drawn, axis=0)[:64].max() > 0.01
    np.testing.assert_allclose(np.mean(drawn, axis=0), without, atol=0.02)


def test_loss_and_accuracy_by_hand() -> None:
    head = Head([1, 1], np.random.default_rng(0))
    head.flat_params[:] = [2.0, 0.0]
    features = np.array([[0.5], [-0.5], [1.0]], np.float32)
    x = StandardizedFeatures(features, np.zeros(1, np.float32), np.ones(1, np.float32))
    loss, accuracy = loss_and_accuracy(head, x, np.array([1.0, 1.0, 0.0]), np.ones(3))
    assert loss == pytest.approx((np.log1p(np.exp(-1)) + np.log1p(np.exp(1)) + np.log1p(np.exp(2))) / 3)
    assert accuracy == pytest.approx(1 / 3)


def test_it_learns_what_one_layer_cannot() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((2000, 2)).astype(np.float32)
    part = LabeledFeatures(features, (features.prod(1) > 0).astype(np.float64))
    accuracies = {}
    for sizes in ([2, 1], [2, 32, 1]):
        settings: dict[str, Any] = {
            "dropout": 0.0,
            "learning_rate": 0.01,
            "weight_decay": 0.0,
            "l2": 0.0,
            "epochs": 15,
            "batch_size": 32,
        }
        *_, last = train_head(Head(sizes, rng), *mean_and_std(features), part, part, rng, **settings)
        accuracies[len(sizes)] = last.val_accuracy
    assert accuracies[2] < 0.65
    assert accuracies[3] > 0.95


def test_forward_has_a_relu_between_layers() -> None:
    layers = (
        (np.array([[1.0], [-1.0]]), np.zeros(2)),
        (np.array([[1.0, 10.0]]), np.array([0.5])),
    )
    assert forward(round_weights(layers), np.array([[2.0], [-3.0]])).tolist() == [2.5, 30.5]


@pytest.mark.parametrize("sizes", [[700, 1], [700, 96, 64, 1]])
def test_a_logit_does_not_depend_on_the_samples_beside_it(sizes: list[int]) -> None:
    rng = np.random.default_rng(0)
    layers = round_weights(Head(sizes, rng).layers)
    x = on_grid(rng.standard_normal((300, 700)), FINE_STEPS)
    together = forward(layers, x)
    alone = np.concatenate([forward(layers, row[None]) for row in x])
    order = rng.permutation(300)
    assert np.array_equal(together, alone)
    assert np.array_equal(together[order], forward(layers, x[order]))


def test_products_of_a_trained_head_are_those_of_fractions() -> None:
    rng = np.random.default_rng(0)
    ((weight, bias),) = round_weights(Head([512, 1], rng).layers)
    x = on_grid(rng.standard_normal((3, 512)) * 12, FINE_STEPS)
    exact = [sum(Fraction(a) * Fraction(b) for a, b in zip(row, weight[0].tolist(), strict=True)) for row in x.tolist()]
    assert forward(((weight, bias),), x).tolist() == [float(value) + float(bias[0]) for value in exact]
