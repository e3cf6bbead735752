"""Duplicate keys found bucket by bucket are those that a set in memory finds."""

from pathlib import Path

import numpy as np
import pytest

from sentiment.data import schema


@pytest.mark.parametrize("per_bucket", [1_000_000, 1000, 100])
def test_the_mask_equals_that_of_a_set_for_any_bucket_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, per_bucket: int
) -> None:
    monkeypatch.setattr(schema, "KEYS_PER_BUCKET", per_bucket)
    rng = np.random.default_rng(0)
    keys = rng.choice(rng.integers(0, 2**64, 3000, dtype=np.uint64), 5000)
    keys.tofile(tmp_path / "keys")
    first_index = {int(key): index for index, key in reversed(list(enumerate(keys)))}
    expected = [first_index[int(key)] == index for index, key in enumerate(keys)]
    assert schema.first_occurrence_mask(tmp_path / "keys", 5000).tolist() == expected


def test_no_keys_give_an_empty_mask(tmp_path: Path) -> None:
    (tmp_path / "keys").touch()
    assert len(schema.first_occurrence_mask(tmp_path / "keys", 0)) == 0
