"""`sentiment noise` on a real project: what it lists, and that it changes nothing."""

import re
import subprocess
import sys

import pandas as pd

from tests.project import Project


def noise(project: Project, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return project.run(sys.executable, "-m", "sentiment", "noise", *arguments, check=check)


def test_the_list_has_the_lowest_margins_first(
    completed_project: Project,
) -> None:
    before = completed_project.run("dvc", "status").stdout
    done = noise(completed_project, "--top", "100", "--output", "noise.csv")
    rows = pd.read_csv(completed_project.root / "noise.csv", dtype={"id": str})
    reviews = pd.concat(
        pd.read_parquet(completed_project.root / f"data/split/{name}.parquet").assign(split=name)
        for name in ("train", "val", "test")
    ).set_index("id")
    assert 0 < len(rows) <= 100
    assert rows["margin"].is_monotonic_increasing
    assert (rows["margin"] < 0).all()
    listed = reviews.loc[rows["id"]]
    assert rows["text"].tolist() == listed["text"].tolist()
    assert rows["split"].tolist() == listed["split"].tolist()
    is_positive = rows["label"] == "positive"
    assert is_positive.tolist() == (listed["label"] == 1).tolist()
    of_label = rows["probability"].where(is_positive, 1 - rows["probability"])
    assert (2 * of_label - 1 - rows["margin"]).abs().max() < 1e-9

    assert done.stdout == ""
    assert completed_project.run("dvc", "status").stdout == before
    assert completed_project.run("git", "status", "--porcelain").stdout == ""


def test_the_table_has_one_line_for_each_review(completed_project: Project) -> None:
    lines = noise(completed_project, "--top", "5").stdout.splitlines()
    assert lines[0].split() == ["id", "split", "label", "probability", "margin", "text"]
    assert len(lines) == 1 + 5
    assert all(
        re.match(r"[0-9a-f]{16} (train|val|test) +(positive|negative) +0\.\d+ +-0\.\d+  \S", line)
        for line in lines[1:6]
    )


def test_a_wrong_argument_and_missing_features_are_one_line(completed_project: Project) -> None:
    done = noise(completed_project, "--top", "0", check=False)
    assert "argument --top: '0' is not a positive number" in done.stderr
    (completed_project.root / "data/encode/train.npy").unlink()
    done = noise(completed_project, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: data/encode/train.npy: no such file; run `dvc repro` or `dvc pull`\n"
