"""`sentiment experiments`: what differs, accuracy and AUC, in lines that fit."""

from sentiment.experiments.table import MAX_WIDTH, Experiment, experiments_table
from tests.project import Project

METRICS = {"accuracy": 0.9, "roc_auc": 0.95}
SAME: dict[str, object] = {"train.seed": 1}


def test_an_experiment_of_a_project_shows_its_changed_param_and_metrics(project_with_experiment: Project) -> None:
    lines = project_with_experiment.run("python", "-m", "sentiment", "experiments").stdout.splitlines()
    assert lines[0].split() == ["experiment", "accuracy", "AUC", "params", "that", "differ"]
    row = next(line for line in lines if line.startswith("  strict"))
    assert row.endswith("train.threshold = 0.97")
    assert 0 < float(row.split()[1]) < 1
    assert "epochs" not in "".join(lines)


def test_many_long_params_continue_on_lines_that_fit() -> None:
    params: dict[str, object] = {f"train.param_number_{index}": "a" * index for index in range(30)}
    rows = [
        Experiment("main", "", derived=False, params=SAME, metrics=METRICS),
        Experiment("n" * 200, "", derived=True, params=SAME | params, metrics=METRICS),
    ]
    lines = experiments_table(rows).splitlines()
    assert max(map(len, lines)) <= MAX_WIDTH
    assert all(any(name in line for line in lines) for name in params)
    assert "train.seed" not in "".join(lines)


def test_a_commit_without_metrics_shows_dashes() -> None:
    commit = Experiment("main", "", derived=False, params=SAME, metrics={})
    assert experiments_table([commit]).splitlines()[1].split() == [
        "main",
        "-",
        "-",
    ]
