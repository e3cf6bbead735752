"""The table of public reviews: three methods on the same folds."""

import numpy as np

from tools.cross_validation import correct_by_method


def test_each_method_labels_what_a_line_separates_and_guesses_what_none_does() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(600, 5)).astype(np.float32)
    folds = (np.arange(600) % 5).astype(np.int8)
    separable = correct_by_method(features, (features[:, 0] > 0).astype(float), folds)
    assert (separable[["solved", "LogisticRegressionCV"]].mean() > 0.97).all()
    random = correct_by_method(features, rng.integers(0, 2, 600).astype(float), folds)
    assert ((random.mean() > 0.4) & (random.mean() < 0.6)).all()
