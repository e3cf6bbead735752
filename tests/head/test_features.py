"""Mean, std and standardized features against NumPy's, in chunks and with columns that are odd."""

import numpy as np
import pytest

from sentiment.head import features as head_features
from sentiment.head.features import FINE_STEPS, MAX_ABS, STEPS, StandardizedFeatures, mean_and_std, standardize


def test_mean_and_std_in_chunks_and_constant_columns() -> None:
    features = np.random.default_rng(0).normal(3, 2, (10_000, 3)).astype(np.float32)
    features[:, 2] = 7
    mean, std = mean_and_std(features)
    np.testing.assert_allclose(mean, features.mean(0, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(std[:2], features[:, :2].std(0, dtype=np.float64), rtol=1e-6)
    assert std[2] == 1


@pytest.mark.parametrize("steps", [STEPS, FINE_STEPS])
def test_standardized_features_are_clipped_multiples_of_the_step(steps: int) -> None:
    features = np.array([[3.0], [1.0004], [-1000.0], [1e30], [np.nan]], np.float32)
    x = standardize(features, np.array([1], np.float32), np.array([2], np.float32), steps)[:, 0]
    assert x[:4].tolist() == [1.0, 0.0 if steps == STEPS else 7 / steps, -MAX_ABS, MAX_ABS]
    assert np.isnan(x[4])
    normal = np.random.default_rng(0).standard_normal((100, 5)).astype(np.float32)
    x = standardize(normal, np.zeros(5, np.float32), np.ones(5, np.float32), steps)
    assert (x * steps == np.rint(x * steps)).all()
    assert np.abs(x - normal).max() <= 0.5 / steps


@pytest.mark.parametrize("limit", [0, 10**6])
def test_rows_are_the_same_whether_they_are_kept_or_not(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head_features, "MAX_CACHED_ELEMENTS", limit)
    features = np.random.default_rng(0).normal(3, 2, (20_000, 3)).astype(np.float32)
    mean, std = mean_and_std(features)
    x = StandardizedFeatures(features, mean, std)
    rows = np.array([7, 3, 19_999])
    assert np.array_equal(x[rows], standardize(features[rows], mean, std, STEPS))
    assert np.array_equal(x[5:9], standardize(features[5:9], mean, std, STEPS))
    assert x[5:9].dtype == np.float64
