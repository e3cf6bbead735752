"""`sentiment gate`, and what is in production: register, promote and roll back by git tags, in a real repository."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from sentiment.cli.gate import worse_kinds
from sentiment.experiments.revisions import Revision
from tests.project import Project, link_environment


def gate(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    return project.run("python", "-m", "sentiment", "gate", *arguments, check=False)


def assign(project: Project, version: str, *options: str) -> None:
    project.run("gto", "assign", "sentiment", "--version", version, "--stage", "production", *options)


def promote(project: Project, version: str) -> None:
    project.run("gto", "register", "sentiment", "HEAD", "--version", version)
    assign(project, version)


def label_of_production(project: Project) -> str:
    """Return the label of the val review that is most positive."""
    scored = pd.read_parquet(project.root / "data/evaluate/val.parquet")
    reviews = pd.read_parquet(project.root / "data/split/val.parquet")
    best = scored.sort_values("probability")["id"].iloc[-1]
    text = str(reviews["text"][reviews["id"] == best].iloc[0])
    command = ("predict", "--format", "text", "--rev", "sentiment@production", text)
    return project.run("python", "-m", "sentiment", *command).stdout.split()[0]


def gate_with(project: Project, path: str, change: Callable[[dict[str, Any]], object]) -> str:
    """Return what the gate, which refuses it, says of a workspace with another content of a file."""
    file = project.root / path
    before = file.read_bytes()
    content = json.loads(before)
    change(content)
    file.unlink()  # it may be a link into DVC's cache
    file.write_text(json.dumps(content))
    done = gate(project, "sentiment@production", "workspace")
    file.unlink()
    file.write_bytes(before)
    assert done.returncode == 1
    return done.stdout


@pytest.mark.slow
def test_register_promote_and_roll_back(completed_project: Project) -> None:
    project = completed_project
    first = gate(project)
    assert (first.returncode, first.stdout.splitlines()[0]) == (0, "nothing is in production: no sentiment@production")
    assert "holds  no leak: reviews that the encoder was trained on: 0 of val, 0 of test" in first.stdout
    promote(project, "v1.0.0")
    same = gate(project)
    assert same.returncode == 0
    assert [line.split(":")[0] for line in same.stdout.splitlines()] == [
        "holds  no leak", "holds  accuracy", "holds  behavior",
    ]  # fmt: skip
    assert label_of_production(project) == "positive"
    leak = gate_with(project, "metrics/val.json", lambda values: values.update(reviews_seen_by_encoder=3))
    assert "FAILS  no leak" in leak
    more_failures = gate_with(
        project,
        "data/check/behavior.json",
        lambda kinds: [kind.update(failures=kind["cases"]) for kind in kinds.values()],
    )
    assert "FAILS  behavior" in more_failures

    project.set_params(train={"threshold": 0.999})  # now nothing is positive
    project.run("dvc", "repro")
    project.commit("Raise the threshold")
    worse = gate(project)
    assert worse.returncode == 1
    assert "FAILS  accuracy: HEAD is worse than sentiment@production" in worse.stdout
    assert gate(project, "HEAD", "sentiment@production").returncode == 0

    promote(project, "v1.1.0")  # without the gate
    assert label_of_production(project) == "negative"
    assert Revision("sentiment@production", project.root).commit == Revision("HEAD", project.root).commit
    assign(project, "v1.0.0", "--force")  # for it has been there before
    assert label_of_production(project) == "positive"
    assert Revision("sentiment@production", project.root).commit == Revision("HEAD~1", project.root).commit


def test_another_stage_or_revision_is_named_where_it_is_missing(completed_project: Project) -> None:
    done = gate(completed_project, "sentiment@staging")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "sentiment@staging: no such commit" in done.stderr


def test_a_kind_is_worse_where_that_is_more_than_chance_among_all_kinds() -> None:
    def results(*failures: int) -> dict[str, dict[str, object]]:
        return {str(kind): {"title": f"kind {kind}", "failures": n, "cases": 200} for kind, n in enumerate(failures)}

    assert worse_kinds(results(5, 5, 5), results(40, 8, 0)) == ["kind 0: 5 failures of 200, now 40 of 200, p = 0.000"]
    assert worse_kinds(results(5), results(14)), "p of one kind is 0.028"
    assert not worse_kinds(results(5, 5), results(14, 5)), "but of two"
    assert not worse_kinds({}, results(200)), "a kind that is new has nothing to be compared with"


@pytest.mark.slow
def test_make_promote_runs_the_gate_and_verify_and_refuses_what_is_worse(completed_project: Project) -> None:
    project = completed_project
    link_environment(project.root)
    assert "name the version" in project.run("make", "promote", check=False).stderr
    promoted = project.run("make", "promote", "VERSION=v1.0.0")
    assert "verify: every output has the committed hash" in promoted.stdout + promoted.stderr
    tags = project.run("git", "tag").stdout.split()
    assert {"sentiment@v1.0.0", "sentiment#production#1"} <= set(tags)
    project.set_params(train={"threshold": 0.999})
    project.run("dvc", "repro")
    project.commit("Raise the threshold")
    assert project.run("make", "promote", "VERSION=v1.1.0", check=False).returncode != 0
    assert project.run("git", "tag").stdout.split() == tags
