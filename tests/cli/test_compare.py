"""`sentiment compare` on a real project: what it reads, prints and exits with."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sentiment.experiments.revisions import Revision
from tests.project import Project


def compare(project: Project, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return project.run(sys.executable, "-m", "sentiment", "compare", *arguments, check=check)


def test_an_experiment_against_the_commit_below_it(project_with_experiment: Project) -> None:
    for split, options in {"val": [], "test": ["--split", "test"]}.items():
        comparison = json.loads(compare(project_with_experiment, "HEAD", "strict", "--json", *options).stdout)
        file = f"metrics/{split}.json"
        baseline = json.loads((project_with_experiment.root / file).read_text())
        strict = json.loads(Revision("strict", project_with_experiment.root).read(file))
        for name in ("accuracy", "f1_macro", "roc_auc"):
            assert abs(comparison["metrics"][name]["a"] - baseline[name]) < 1e-9
            assert abs(comparison["metrics"][name]["b"] - strict[name]) < 1e-9
        assert comparison["verdict"] == "worse"
        assert (comparison["rows"], comparison["split"]) == (baseline["rows"], split)


def test_the_default_is_head_against_the_workspace(project_with_experiment: Project) -> None:
    done = compare(project_with_experiment)
    lines = done.stdout.splitlines()
    assert lines[0] == "A = HEAD, B = workspace: 204 val reviews"
    assert [line.split()[0] for line in lines[3:6]] == ["accuracy", "f1_macro", "roc_auc"]
    assert lines[-1].startswith("workspace labels as many reviews correctly as HEAD (accuracy +0.00 points, ")
    # 6 of 204 reviews
    assert lines[-1].endswith(
        "With 204 val reviews, a difference of 2.94 points would be found with a probability of 80%."
    )


@pytest.mark.slow
def test_fail_if_worse_fails_only_if_worse(project_with_experiment: Project) -> None:
    worse = compare(project_with_experiment, "HEAD", "strict", "--fail-if-worse", check=False)
    assert worse.returncode == 1
    assert worse.stdout.splitlines()[-1].startswith("strict is worse than HEAD: it labels ")
    assert " fewer of 100 reviews correctly; unlikely to be chance (accuracy -" in worse.stdout
    assert worse.stdout.endswith("p < 0.001).\n")
    assert "p = 0.0" not in worse.stdout, "a p-value is never 0"
    assert worse.stderr == ""
    better = compare(project_with_experiment, "strict", "HEAD", "--fail-if-worse")
    assert better.stdout.splitlines()[-1].startswith("HEAD is better than strict: it labels ")


def test_an_unknown_revision_is_one_line(project_with_experiment: Project) -> None:
    done = compare(project_with_experiment, "nowhere", check=False)
    assert done.returncode == 1
    assert done.stderr == "error: nowhere: no such commit, branch, tag or experiment (`dvc exp list -A`)\n"


@pytest.mark.parametrize(
    ("revision", "advice"),
    [
        (
            "HEAD",
            "commit the dvc.lock that `dvc repro` wrote here (`git commit -a`), or run `dvc push` where HEAD was run",
        ),
        (
            "HEAD~1",
            "run `dvc push` where HEAD~1 was run, or `git checkout HEAD~1`, `dvc repro` and `git commit -a` here",
        ),
    ],
)
def test_unavailable_outputs_are_one_line_with_advice_that_helps(
    completed_project: Project, revision: str, advice: str
) -> None:
    shutil.rmtree(completed_project.root / ".dvc" / "cache")
    done = compare(completed_project, revision, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: data/evaluate/val.parquet: not available for {revision} (")
    assert done.stderr.endswith(f"); {advice}\n")
    assert done.stderr.count("\n") == 1


def test_after_the_advised_commit_the_default_comparison_works(completed_project: Project) -> None:
    """As in a clone of results from another machine: dvc.lock at HEAD names predictions that exist nowhere."""
    lock = completed_project.root / "dvc.lock"
    committed = lock.read_text()
    outs = yaml.safe_load(committed)["stages"]["evaluate"]["outs"]
    md5 = next(out["md5"] for out in outs if out["path"] == "data/evaluate")
    lock.write_text(committed.replace(md5, "0" * 32))
    completed_project.commit("Results of another machine")
    lock.write_text(committed)
    assert compare(completed_project, check=False).returncode == 1
    completed_project.run("git", "commit", "-q", "-a", "-m", "Results of this machine")
    assert "workspace labels as many reviews correctly as HEAD" in compare(completed_project).stdout


@pytest.mark.slow
def test_a_clone_reads_from_the_remote(completed_project: Project, tmp_path: Path) -> None:
    completed_project.run("git", "tag", "v1")
    colleague = completed_project.clone(tmp_path / "clone")
    for project in (completed_project, colleague):
        project.run("dvc", "remote", "modify", "--local", "storage", "url", str(tmp_path / "remote"))
        project.run("dvc", "config", "--local", "remote.storage.verify", "false")
    completed_project.run("dvc", "push", "-q", "data/evaluate/val.parquet")
    assert not (colleague.root / ".dvc" / "cache").exists()
    done = compare(colleague, "v1", "main")
    assert "main labels as many reviews correctly as v1" in done.stdout
