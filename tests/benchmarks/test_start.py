"""The benchmark of the first answer runs and has a figure of each kind; how fast is not for tests."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import start
from sentiment.common.errors import ClassifierError
from tests.project import Project


@pytest.mark.slow
def test_the_first_answer_is_measured_beside_its_baselines(completed_template: Project, tmp_path: Path) -> None:
    output = tmp_path / "results.json"
    options = ("--only", "start", "--rounds", "1", "--output", str(output))
    completed_template.run(sys.executable, "-m", "benchmarks", *options)
    rows = {row["baseline"]: row["least_seconds"] for row in json.loads(output.read_text())["start"]}
    assert len(rows) == 3
    assert all(0 < seconds < 120 for seconds in rows.values())


def test_without_a_classifier_it_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ClassifierError, match=r"^models/classifier does not exist; run make repro first$"):
        next(start.measure(Path("encoder"), rounds=1))
