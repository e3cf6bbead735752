"""A source that queued experiments would not find is named, with the command that helps."""

import pytest

from sentiment.experiments.revisions import unseen_source
from tests.project import SAMPLE, Project


def test_a_source_in_git_is_seen(project: Project) -> None:
    assert unseen_source(project.root) is None


@pytest.mark.slow
def test_a_dvc_file_is_seen_once_it_is_staged(project: Project) -> None:
    mine = "data/raw/mine.csv"
    (project.root / mine).write_bytes((project.root / SAMPLE).read_bytes())
    project.set_params(prepare={"source": mine})
    assert (unseen_source(project.root) or "").endswith(f"run dvc add {mine}, then git add {mine}.dvc")
    project.run("dvc", "add", "-q", mine)
    project.run("git", "reset", "-q", f"{mine}.dvc")  # .dvc/config has autostage, which not everyone's has
    assert (unseen_source(project.root) or "").endswith(f"run git add {mine}.dvc")
    done = project.run("sentiment", "experiments")
    assert f"{mine}.dvc is neither staged nor committed" in done.stderr
    project.run("git", "add", f"{mine}.dvc")
    assert unseen_source(project.root) is None
    assert project.run("sentiment", "experiments").stderr == ""


@pytest.mark.parametrize("source", ["data/raw/months/", "data/raw/months", "data/raw/months/1.csv"])
def test_a_folder_that_dvc_tracks_is_seen_with_what_is_in_it(project: Project, source: str) -> None:
    (project.root / "data/raw/months").mkdir()
    (project.root / "data/raw/months/1.csv").write_bytes((project.root / SAMPLE).read_bytes())
    project.set_params(prepare={"source": source})
    assert "is tracked neither by DVC nor by git" in (unseen_source(project.root) or "")
    (project.root / "data/raw/months.dvc").write_text("outs: []\n")
    assert (unseen_source(project.root) or "").endswith("run git add data/raw/months.dvc")
    project.run("git", "add", "-f", "data/raw/months.dvc")
    assert unseen_source(project.root) is None
