"""The table of public reviews: three methods on the same folds."""

import numpy as np

from sentiment.head.words import Tokens
from tools.cross_validation import METHODS, correct_by_method, p_value


def test_each_method_labels_what_a_line_separates_and_guesses_what_none_does() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(600, 5)).astype(np.float32)
    folds = (np.arange(600) % 5).astype(np.int8)
    separable = (features[:, 0] > 0).astype(float)
    words = ["good" if is_positive else "bad" for is_positive in separable]
    tokens = Tokens.of([[int(is_positive)] for is_positive in separable])
    correct = correct_by_method(features, tokens, words, separable, folds)
    assert tuple(correct.columns) == METHODS
    assert (correct.mean() > 0.97).all()
    random = correct_by_method(features, tokens, words, rng.integers(0, 2, 600).astype(float), folds)
    assert ((random.mean() > 0.4) & (random.mean() < 0.6)).all()
    assert p_value(correct, "tfidf", "tfidf") == 1.0
