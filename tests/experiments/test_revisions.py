"""Revisions: what names one, what it is called, and the values of its params."""

from pathlib import Path

import pytest
import yaml

from sentiment.common.errors import InputError
from sentiment.experiments.revisions import (
    ALL_METRICS,
    BEHAVIOR,
    CLASSIFIER,
    ENCODER_METRICS,
    HEAD_METRICS,
    METRICS,
    PLOTS,
    PREDICTIONS,
    SLICES,
    SPLIT,
    SPLIT_METRICS,
    Revision,
    commit_subject,
    workspace_title,
)
from sentiment.report.data import _results
from tests.project import ROOT, Project


def test_a_commit_and_a_branch_have_the_subject_of_their_message(project_with_experiment: Project) -> None:
    root = project_with_experiment.root
    commit = project_with_experiment.run("git", "rev-parse", "HEAD").stdout.strip()
    assert {commit_subject(name, root) for name in ("HEAD", "main", commit, commit[:7])} == {"Run the pipeline"}


def test_workspace_baseline_experiment_and_file_have_none(project_with_experiment: Project) -> None:
    root = project_with_experiment.root
    names = ["workspace", "tfidf", "strict", project_with_experiment.experiment("strict"), "dvc.yaml", "--all"]
    assert [commit_subject(name, root) for name in names] == [""] * len(names)


def test_the_workspace_is_called_by_its_branch_and_by_whether_it_has_changes(project: Project) -> None:
    assert workspace_title(project.root) == "main"
    project.set_params(train={"epochs": 3})
    assert workspace_title(project.root) == "main, changed"


@pytest.mark.parametrize("name", ["HEAD:params.yaml", "HEAD^{tree}", "HEAD:", ""])
def test_what_names_a_file_or_a_folder_and_no_commit_is_refused(name: str, project: Project) -> None:
    with pytest.raises(InputError, match="does not name a commit; expected a commit, branch, tag or experiment"):
        Revision(name, project.root).read("params.yaml")


def test_params_are_read_as_dvc_reads_them(completed_project: Project, tmp_path: Path) -> None:
    params = completed_project.root / "params.yaml"
    params.write_text(params.read_text().replace("learning_rate: 0.001", "learning_rate: 1e-3"))
    results = _results("this folder", Revision("workspace", completed_project.root), "val")
    assert results.params["train.learning_rate"] == 0.001


def test_the_paths_of_commands_are_those_of_dvc_yaml() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values()
    outputs = {
        path
        for stage in stages
        for kind in ("outs", "metrics", "plots")
        for entry in stage.get(kind, ())
        for path in (entry if isinstance(entry, dict) else [entry])
    }
    by_split = (PREDICTIONS, METRICS, SLICES, *PLOTS)
    files = {str(path) for path in (SPLIT, CLASSIFIER, ALL_METRICS, BEHAVIOR)}
    files |= {SPLIT_METRICS, HEAD_METRICS, ENCODER_METRICS, *(path for paths in by_split for path in paths.values())}
    assert len(files) > 20
    assert [path for path in files if not {path, *map(str, Path(path).parents)} & outputs] == []
