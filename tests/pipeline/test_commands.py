"""The commands that people use, in a repository of their own."""

import json
import shutil
import sys
import venv
from pathlib import Path

import pytest
import yaml

from tests.project import Project

STAGES = ["prepare", "split", "finetune", "encode", "train", "check", "evaluate"]


def stages_run(output: str) -> list[str]:
    return [stage for stage in STAGES if f"Running stage '{stage}'" in output]


def accuracy(project: Project) -> float:
    return float(json.loads((project.root / "metrics" / "val.json").read_text())["accuracy"])


def test_a_second_repro_is_up_to_date(completed_project: Project) -> None:
    assert "Data and pipelines are up to date." in completed_project.run("dvc", "repro").stdout
    assert "Data and pipelines are up to date." in completed_project.run("dvc", "status").stdout


@pytest.mark.slow
def test_a_run_is_restored_where_the_cache_lacks_what_the_last_commit_names(completed_project: Project) -> None:
    """As in a clone without `dvc pull`: DVC asked the remote for the folder of a file that a stage depends on."""
    shutil.rmtree(completed_project.root / ".dvc/cache")
    run = ("dvc", "exp", "run", "-S", "split.salt=another")
    assert stages_run(completed_project.run(*run).stdout) == STAGES
    completed_project.run("git", "reset", "-q", "--hard")
    assert stages_run(completed_project.run(*run).stdout) == []


def test_dvc_of_an_environment_that_is_not_activated_says_so(project: Project, tmp_path: Path) -> None:
    """DVC starts the first `python` of PATH, and the stage ended in a traceback."""
    venv.create(tmp_path / "other", symlinks=True)
    path = f"{tmp_path / 'other' / 'bin'}:/usr/bin:/bin"
    dvc = Path(sys.executable).parent / "dvc"
    done = project.run("/usr/bin/env", f"PATH={path}", str(dvc), "repro", check=False)
    assert done.returncode != 0
    assert f"error: python is {tmp_path / 'other'}/bin/python" in done.stderr
    assert "run source .venv/bin/activate, git restore metrics, and dvc repro again" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_an_experiment_runs_only_what_depends_on_its_key(completed_project: Project) -> None:
    before = accuracy(completed_project)
    ran = completed_project.run("dvc", "exp", "run", "-n", "faster", "-S", "train.learning_rate=5e-2").stdout
    assert stages_run(ran) == ["train", "check", "evaluate"]
    after = accuracy(completed_project)
    files = json.loads(completed_project.run("dvc", "metrics", "diff", "--json", "HEAD").stdout)
    accuracies = files["metrics/val.json"]["accuracy"]
    assert accuracies == {"old": before, "new": after, "diff": pytest.approx(after - before)}
    assert before != after, "else the diff would show nothing"
    diff = completed_project.run("dvc", "metrics", "diff").stdout.splitlines()
    assert 5 < len(diff) <= 20, "a diff that is read at a glance"
    shown = json.loads(completed_project.run("dvc", "exp", "show", "--json").stdout)
    assert "faster" in json.dumps(shown)
    assert str(before) in json.dumps(shown)
    assert str(after) in json.dumps(shown)


@pytest.mark.parametrize(
    ("section", "key", "value", "stage", "message"),
    [
        ("train", "epoch", 3, "train", "train.epoch is unknown"),
        pytest.param(
            "train",
            "epochs",
            "many",
            "train",
            "train.epochs is 'many', expected a valid integer",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "split",
            "val",
            1.5,
            "split",
            "split.val is 1.5, expected less than 1",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "finetune",
            "encoder",
            "models/encoders",
            "finetune",
            "models/encoders/config.json: no such file",
            marks=pytest.mark.slow,
        ),
        ("finetune", "encoder", "models/none", "finetune", "No such file or directory: "),
        ("evaluate", "slices", ["Size"], "evaluate", "evaluate.slices: no column 'Size'; expected rating, length, "),
        ("prepare", "slice_columns", [], "prepare", "evaluate.slices: no column 'Department Name'; expected rating, "),
        pytest.param(
            "prepare",
            "slice_columns",
            ["Color", "Department Name", "Size"],
            "prepare",
            "sample.csv: columns 'Color', 'Size' are missing; found ",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_stage_that_refuses_its_params_says_why_in_one_line(
    completed_project: Project, section: str, key: str, value: object, stage: str, message: str
) -> None:
    lock = (completed_project.root / "dvc.lock").read_bytes()
    completed_project.set_params(**{section: {key: value}})
    failed = completed_project.run("dvc", "repro", check=False)
    assert failed.returncode != 0
    assert f"failed to reproduce '{stage}'" in failed.stderr
    assert message in failed.stderr
    assert "Traceback" not in failed.stderr
    assert (completed_project.root / "dvc.lock").read_bytes() == lock


def test_the_last_good_outputs_are_back_after_a_failed_stage(completed_project: Project) -> None:
    completed_project.set_params(train={"threshold": 2})
    assert completed_project.run("dvc", "repro", check=False).returncode != 0
    completed_project.run("git", "checkout", "-q", ".")
    completed_project.run("dvc", "checkout")
    assert "Data and pipelines are up to date." in completed_project.run("dvc", "status").stdout


def test_a_missing_key_is_named(completed_project: Project) -> None:
    path = completed_project.root / "params.yaml"
    params = yaml.safe_load(path.read_text())
    del params["train"]["epochs"]
    path.write_text(yaml.safe_dump(params))
    failed = completed_project.run("dvc", "repro", check=False)
    assert failed.returncode != 0
    assert "train.epochs is missing" in failed.stderr


def test_training_changes_no_weight_of_the_encoder(completed_project: Project) -> None:
    assert not completed_project.run("git", "status", "--porcelain", "models/encoders").stdout
    features = json.loads((completed_project.root / "data/encode/config.json").read_text())
    classifier = json.loads((completed_project.root / "models/classifier/config.json").read_text())
    assert classifier["features"] == features


def test_the_artifact_is_known_to_dvc(completed_project: Project, tmp_path: Path) -> None:
    completed_project.run("git", "tag", "-a", "-m", "First", "sentiment@v1.0.0")  # how the registry names a version
    completed_project.run("dvc", "artifacts", "get", ".", "sentiment", "-o", str(tmp_path / "got"))
    assert sorted(path.name for path in (tmp_path / "got").iterdir()) == ["config.json", "encoder", "head.safetensors"]


@pytest.mark.slow
def test_real_reviews(project: Project, reviews_csv: Path, real_project: Project) -> None:
    (project.root / "data/raw/womens.csv").write_bytes(reviews_csv.read_bytes())
    project.set_params(prepare={"source": "data/raw/womens.csv"})
    project.run("dvc", "repro", "prepare")
    counts = json.loads((project.root / "metrics/prepare.json").read_text())
    assert (counts["rows"], counts["with_text"], counts["repeated"]) == (23_486, 22_641, 5)
    assert accuracy(real_project) > 0.82  # of the first ones; well above 0.77, always positive
