"""`python -m tools.calibration`: the calibration error of reviews that the head did not see, val and train alone."""

import json
import re
import sys

import pytest

from tests.project import Project


@pytest.mark.slow
def test_both_errors_are_of_train_and_val_and_test_is_not_read(completed_project: Project) -> None:
    (completed_project.root / "data/split/test.parquet").unlink()
    shown = completed_project.run(sys.executable, "-m", "tools.calibration").stderr
    line = r"^(none|temperature): expected calibration error (0\.\d{4}) of (\d+) reviews$"
    found = re.findall(line, shown, re.MULTILINE)
    assert [name for name, _, _ in found] == ["none", "temperature"]
    n_reviews = {int(number) for _, _, number in found}
    metrics = json.loads((completed_project.root / "metrics/split.json").read_text(encoding="utf-8"))
    assert n_reviews == {metrics["train"]["rows"] + metrics["val"]["rows"]}
    assert all(0 < float(error) < 0.2 for _, error, _ in found)
