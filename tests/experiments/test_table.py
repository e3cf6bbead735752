"""`sentiment experiments`: the best on val first, experiments of every commit, in lines that fit."""

import json
import math
from pathlib import Path

import pytest

from sentiment.experiments.comparison import Experiment, experiments_table
from tests.project import Project

METRICS = {"accuracy": 0.9, "roc_auc": 0.95}
SAME: dict[str, object] = {"train.seed": 1}


@pytest.mark.slow
def test_an_experiment_is_listed_by_its_changed_param_also_after_the_next_commit(
    project_with_experiment: Project, tmp_path: Path
) -> None:
    project = project_with_experiment.copy(tmp_path / "project")
    (project.root / "notes.txt").write_text("what we keep\n")
    project.commit("Keep an experiment")
    done = project.run("python", "-m", "sentiment", "experiments")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["experiment", "val", "loss", "val", "acc", "val", "AUC", "params", "that", "differ"]
    row = next(line for line in lines if line.startswith("strict"))
    assert row.endswith("train.threshold = 0.97")
    assert all(0 < float(value) < 1 for value in row.split()[1:4])
    of_val = json.loads(project.run("git", "show", f"{project.experiment('strict')}:metrics/val.json").stdout)
    assert row.split()[2:4] == [f"{of_val[name]:.4f}" for name in ("accuracy", "roc_auc")]
    losses = [float(line.split()[1]) for line in lines[1:]]
    assert losses == sorted(losses)
    assert "epochs" not in done.stdout


def test_many_long_params_continue_on_lines_that_fit_a_terminal_or_stand_on_one_line() -> None:
    params: dict[str, object] = {f"train.param_number_{index}": "a" * index for index in range(30)}
    rows = [
        Experiment("main", "", params=SAME, metrics=METRICS),
        Experiment("n" * 200, "0123abc", params=SAME | params, metrics=METRICS),
    ]
    lines = experiments_table(rows, width=80).splitlines()
    assert max(map(len, lines)) <= 80
    assert all(any(name in line for line in lines) for name in params)
    assert "train.seed" not in "".join(lines)
    assert len(experiments_table(rows, width=10_000).splitlines()) == 3


def test_experiments_of_two_commits_name_theirs_and_a_commit_without_metrics_shows_dashes() -> None:
    rows = [
        Experiment("lr-3", "0123abc", params=SAME, metrics=METRICS, val_loss=0.25),
        Experiment("lr-4", "4567def", params=SAME, metrics=METRICS, val_loss=0.5),
        Experiment("main", "", params=SAME, metrics={}, val_loss=math.nan),
    ]
    lines = [line.split() for line in experiments_table(rows, width=80).splitlines()]
    assert lines[1] == ["lr-3", "on", "0123abc", "0.2500", "0.9000", "0.9500"]
    assert lines[3] == ["main", "-", "-", "-"]


def test_a_name_cannot_move_the_cursor() -> None:
    rows = [Experiment("a\x1b[2Jb", "", params={"train.x": "\x1b]0;c\a"}, metrics={})] * 2
    rows += [Experiment("other", "", params={"train.x": 1}, metrics={})]
    assert "\x1b" not in experiments_table(rows, width=80)
