"""Commits whose `evaluate` scored test alone: what commands show of them, and what they say of val."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sentiment.cli.serve import classifier_info
from sentiment.experiments.revisions import CLASSIFIER, PLOTS, SLICES
from tests.project import Project


@pytest.fixture
def updated(completed_project: Project) -> Project:
    """HEAD has the files and names of before, the workspace those of now, with the same results."""
    root = completed_project.root
    now = completed_project.run("git", "rev-parse", "HEAD").stdout.strip()
    pipeline = yaml.safe_load((root / "dvc.yaml").read_text())
    stage = pipeline["stages"]["evaluate"]
    stage["outs"] = ["data/evaluate/predictions.parquet", "data/evaluate/metrics.json", "models/README.md"]
    stage["metrics"] = [{"metrics/evaluate.json": {"cache": False}}]
    (root / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False).replace("val reviews", "test reviews"))
    shutil.move(root / "metrics/test.json", root / "metrics/evaluate.json")
    completed_project.run("git", "rm", "-q", "-f", "metrics/val.json")
    for paths in (SLICES, *PLOTS):
        shutil.move(root / paths["test"], root / paths["val"])
    (root / "data/evaluate/test.parquet").rename(root / "data/evaluate/predictions.parquet")
    of_both = root / "data/evaluate/metrics.json"
    of_test = json.loads(of_both.read_text())["test"]
    of_both.unlink()  # a link into DVC's cache
    of_both.write_text(json.dumps(of_test))
    completed_project.run("dvc", "commit", "--force", "evaluate")
    completed_project.commit("Results of before")
    completed_project.run("git", "checkout", "-q", now, "--", ".")
    completed_project.run("git", "rm", "-q", "-f", "metrics/evaluate.json")
    completed_project.run("dvc", "checkout", "-q", "--force")
    return completed_project


def sentiment(project: Project, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return project.run(sys.executable, "-m", "sentiment", *arguments, check=check)


@pytest.mark.slow
def test_they_are_compared_on_test_and_say_that_they_have_no_val(updated: Project) -> None:
    for command in ("compare", "report"):
        refusal = sentiment(updated, command, "HEAD", "workspace", check=False)
        assert (refusal.returncode, refusal.stderr) == (
            1,
            "error: HEAD has no val predictions, only those of test; use --split test\n",
        )
    lines = sentiment(updated, "compare", "HEAD", "workspace", "--split", "test").stdout.splitlines()
    assert lines[0] == "A = HEAD, B = workspace: 196 test reviews"
    assert lines[-1].startswith("workspace labels as many reviews correctly as HEAD ")
    sentiment(updated, "report", "HEAD", "workspace", "--split", "test")
    of_both = (updated.root / "report.html").read_text()
    sentiment(updated, "report", "HEAD")
    of_one = (updated.root / "report.html").read_text()
    accuracy = json.loads((updated.root / "metrics/test.json").read_text())["accuracy"]
    for page, n_revisions in ((of_both, 2), (of_one, 1)):
        assert page.count(f'<strong><data value="{accuracy}">') == n_revisions
        assert "ROC curve, test reviews" in page


@pytest.mark.slow
def test_the_table_of_experiments_has_their_validation_loss_alone(updated: Project) -> None:
    rows = {line.split()[0]: line.split()[1:4] for line in sentiment(updated, "experiments").stdout.splitlines()[1:]}
    assert rows["main"][1:] == ["-", "-"]
    assert rows["main"][0] == rows["workspace"][0]
    assert all(0 < float(number) < 1 for number in rows["workspace"])


def test_a_server_says_the_test_accuracy_of_their_classifiers_too(
    updated: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(updated.root)
    metrics = json.loads((updated.root / "metrics/test.json").read_text())
    other = classifier_info("workspace", Path("elsewhere"))
    assert other == {"revision": "workspace", "accuracy": None, "source": None, "commit": None}
    for revision in ("HEAD", "workspace"):
        info = classifier_info(revision, CLASSIFIER)
        assert {key: info[key] for key in ("rows", "accuracy")} == {key: metrics[key] for key in ("rows", "accuracy")}
