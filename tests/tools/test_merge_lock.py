"""The merge driver of dvc.lock, on two branches of a real repository."""

from pathlib import Path

import pytest
import yaml

from sentiment.common.command import run_main
from tests.command_call import call_command
from tests.pipeline.test_commands import stages_run
from tests.project import Project
from tools.merge_lock import main, merge

DRIVER = "python -m tools.merge_lock %O %A %B"


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ({"a": 1}, {"a": 1}, {"a": 1}),
        ({"a": 2}, {"a": 1}, {"a": 2}),  # one side alone changed it
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": 2}, {"a": 2}, {"a": 2}),  # both, alike
        ({"a": 2}, {"a": 3}, {}),
        ({}, {"a": 1}, {}),  # one side removed it
        ({}, {"a": 2}, {}),
        ({"a": 1, "b": 1}, {"a": 1}, {"a": 1, "b": 1}),  # one side added it
        ({"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 1}),
    ],
)
def test_a_stage_that_both_changed_differently_is_left_out(
    ours: dict[str, int], theirs: dict[str, int], expected: dict[str, int]
) -> None:
    assert merge({"a": 1}, ours, theirs) == expected


@pytest.mark.slow
def test_two_branches_merge_and_what_differs_runs_again(completed_project: Project) -> None:
    project = completed_project
    project.run("git", "config", "merge.dvc-results.driver", DRIVER)
    main_branch = project.run("git", "branch", "--show-current").stdout.strip()
    project.run("git", "switch", "-q", "-c", "bins")
    project.set_params(evaluate={"calibration_bins": 5})
    project.run("dvc", "repro")
    project.commit("Fewer bins")
    project.run("git", "switch", "-q", main_branch)
    project.set_params(train={"threshold": 0.7})
    project.run("dvc", "repro")
    project.commit("Higher threshold")
    project.run("git", "merge", "-q", "-m", "Merge", "bins")
    params = yaml.safe_load((project.root / "params.yaml").read_bytes())
    assert (params["evaluate"]["calibration_bins"], params["train"]["threshold"]) == (5, 0.7)
    lock = yaml.safe_load((project.root / "dvc.lock").read_bytes())["stages"]
    assert "evaluate" not in lock
    assert lock["train"]["params"]["params.yaml"]["train"]["threshold"] == 0.7
    assert stages_run(project.run("dvc", "repro").stdout) == ["evaluate"]
    merged = (project.root / "dvc.lock").read_bytes()
    project.run("dvc", "repro", "--force", "--no-run-cache")
    assert (project.root / "dvc.lock").read_bytes() == merged


def test_another_file_is_refused_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, content in (("base", ""), ("ours", "schema: '2.0'\nstages: {}\n"), ("theirs", "<<<<<<< ours\n")):
        (tmp_path / name).write_text(content)
    arguments = [str(tmp_path / name) for name in ("base", "ours", "theirs")]
    status, stderr = call_command(lambda: run_main(lambda: main(arguments)), caplog)
    assert status == 1
    assert "theirs: no dvc.lock of schema 2.0" in stderr


def test_values_are_read_as_dvc_reads_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lock = "schema: '2.0'\nstages:\n  one:\n    params:\n      params.yaml:\n"
    values = "        one.rate: 5e-05\n        one.labels:\n        - on\n        - 12:30:00\n"
    for name in ("base", "ours", "theirs"):
        (tmp_path / name).write_text(lock + values)
    arguments = [str(tmp_path / name) for name in ("base", "ours", "theirs")]
    assert call_command(lambda: run_main(lambda: main(arguments)), caplog) == (0, "")
    assert (tmp_path / "ours").read_text() == lock + values
