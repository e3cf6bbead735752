"""Finding repeated keys in bands gives what a set in memory would."""

from pathlib import Path

import numpy as np
import pytest

from sentiment.data import dedup


@pytest.mark.parametrize("per_band", [1_000_000, 1000, 100])
def test_first_occurrences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, per_band: int) -> None:
    monkeypatch.setattr(dedup, "KEYS_PER_BAND", per_band)
    rng = np.random.default_rng(0)
    keys = rng.choice(rng.integers(0, 2**64, 3000, dtype=np.uint64), 5000)
    keys.tofile(tmp_path / "keys")
    seen: set[int] = set()
    expected = [not (int(key) in seen or seen.add(int(key))) for key in keys]
    assert dedup.first_occurrence_mask(tmp_path / "keys", 5000).tolist() == expected


def test_no_keys(tmp_path: Path) -> None:
    (tmp_path / "keys").touch()
    assert len(dedup.first_occurrence_mask(tmp_path / "keys", 0)) == 0
