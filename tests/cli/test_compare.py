"""`sentiment compare` on a real project: what it reads, prints and exits with."""

import json
import sys

from tests.conftest import Project


def compare(project: Project, *arguments: str, check: bool = True):
    return project.run(sys.executable, "-m", "sentiment", "compare", *arguments, check=check)


def test_an_experiment_against_the_commit_below_it(project_with_experiment):
    found = json.loads(compare(project_with_experiment, "HEAD", "strict", "--json").stdout)
    baseline = json.loads((project_with_experiment.root / "metrics" / "evaluate.json").read_text())
    strict = json.loads(
        project_with_experiment.run(
            "git", "show", f"{project_with_experiment.experiment('strict')}:metrics/evaluate.json"
        ).stdout
    )
    for name in ("accuracy", "f1_macro", "roc_auc"):
        assert abs(found["metrics"][name]["a"] - baseline[name]) < 1e-9
        assert abs(found["metrics"][name]["b"] - strict[name]) < 1e-9
    assert found["verdict"] == "worse"
    assert found["rows"] == baseline["rows"]


def test_the_default_is_head_against_the_workspace(project_with_experiment):
    done = compare(project_with_experiment)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("A = HEAD, B = workspace: ")
    assert [line.split()[0] for line in lines[3:6]] == ["accuracy", "f1_macro", "roc_auc"]
    assert lines[-1].startswith("No significant difference in accuracy between HEAD and workspace")
    assert "one of 3.06 points or more would have shown with a probability of 80 %" in lines[-1]  # 6 of 196 reviews


def test_fail_if_worse_fails_only_if_worse(project_with_experiment):
    worse = compare(project_with_experiment, "HEAD", "strict", "--fail-if-worse", check=False)
    assert worse.returncode == 1
    assert worse.stdout.splitlines()[-1].startswith("strict is worse than HEAD: accuracy -")
    assert worse.stdout.endswith("p < 0.001.\n")
    assert "p = 0.0" not in worse.stdout, "a p is never 0"
    assert worse.stderr == ""
    better = compare(project_with_experiment, "strict", "HEAD", "--fail-if-worse")
    assert better.stdout.splitlines()[-1].startswith("HEAD is better than strict: accuracy +")


def test_an_unknown_revision_is_one_line(project_with_experiment):
    done = compare(project_with_experiment, "nowhere", check=False)
    assert done.returncode == 1
    assert done.stderr == "error: nowhere: no such commit, branch, tag or experiment (`dvc exp list -A`)\n"


def test_a_commit_before_the_first_run_is_one_line(project_with_experiment):
    done = compare(project_with_experiment, "HEAD~1", check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: data/evaluate/predictions.parquet: not to be had for HEAD~1 (")
    assert "`dvc repro` at HEAD~1" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_clone_reads_from_the_remote(completed_project, tmp_path):
    completed_project.run("git", "tag", "v1")
    colleague = completed_project.clone(tmp_path / "clone")
    for project in (completed_project, colleague):
        project.run("dvc", "remote", "modify", "--local", "storage", "url", str(tmp_path / "remote"))
        project.run("dvc", "config", "--local", "remote.storage.verify", "false")
    completed_project.run("dvc", "push", "-q", "data/evaluate/predictions.parquet")
    assert not (colleague.root / ".dvc" / "cache").exists()
    done = compare(colleague, "v1", "main")
    assert "No significant difference in accuracy between v1 and main" in done.stdout
