"""Commits are named by the subject of their message; what no person named has none."""

from sentiment.experiments.revisions import commit_subject
from tests.project import Project


def test_a_commit_and_a_branch_have_the_subject_of_their_message(project_with_experiment: Project) -> None:
    root = project_with_experiment.root
    commit = project_with_experiment.run("git", "rev-parse", "HEAD").stdout.strip()
    assert {commit_subject(name, root) for name in ("HEAD", "main", commit, commit[:7])} == {"Run the pipeline"}


def test_workspace_baseline_experiment_and_file_have_none(project_with_experiment: Project) -> None:
    root = project_with_experiment.root
    names = ["workspace", "tfidf", "strict", project_with_experiment.experiment("strict"), "dvc.yaml", "--all"]
    assert [commit_subject(name, root) for name in names] == [""] * len(names)
