"""Changed labels of separable features are found; a review is never scored by a model that has seen it."""

import numpy as np
import pytest

from sentiment.experiments.label_noise import flip_labels, margins, out_of_fold_probabilities


def test_changed_labels_of_separable_classes_have_the_lowest_margins() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random(2_000) < 0.7).astype(np.int8)
    features = (rng.normal(size=(2_000, 16)) + 2 * labels[:, None]).astype(np.float32)
    noisy, flipped = flip_labels(labels, 0.02, seed=1)
    assert flipped.sum() == 40
    assert ((noisy != labels) == flipped).all()
    folds: list[int] = []
    probabilities = out_of_fold_probabilities(features, noisy, 5, 0, lambda: folds.append(1))
    assert len(folds) == 5
    order = np.argsort(margins(probabilities, noisy))
    assert flipped[order[:40]].mean() > 0.95


def test_a_review_has_no_part_in_the_model_that_scores_it() -> None:
    """Features without information: a model that had seen the labels would agree with them."""
    rng = np.random.default_rng(0)
    labels = (rng.random(200) < 0.5).astype(np.int8)
    features = rng.normal(size=(200, 500)).astype(np.float32)
    probabilities = out_of_fold_probabilities(features, labels, 5, 0, lambda: None)
    agreement = ((probabilities >= 0.5) == labels).mean()
    assert 0.35 < agreement < 0.65


@pytest.mark.parametrize(("label", "probability", "margin"), [(1, 0.9, 0.8), (0, 0.9, -0.8), (1, 0.5, 0.0)])
def test_the_margin_is_the_probability_of_the_label_minus_that_of_the_other(
    label: int, probability: float, margin: float
) -> None:
    assert margins(np.array([probability]), np.array([label], np.int8))[0] == pytest.approx(margin)
