"""A `dvc repro` or `dvc exp run` that is interrupted at any moment: the next `dvc repro` gives the committed bytes.

KILLS=150 pytest -m slow tests/pipeline/test_kills.py interrupts that many, and takes an hour; by default 6.
"""

import contextlib
import logging
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass

import pytest

from tests.project import SAMPLE, Project, copy_reviews
from tools.repair import repair

N_KILLS = int(os.environ.get("KILLS", "6"))
N_ROWS, N_STAGES = 300, 6
SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
START_SECONDS = 120  # in which the last stage begins, on a machine that does other work
END_SECONDS = 30  # in which every process of an interrupted command has ended

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kill:
    """A moment of a command, and the signal that all its processes get then."""

    command: tuple[str, ...]
    signal: signal.Signals
    n_stages: int  # that have begun
    delay: float  # after that, in units of the time that a stage takes
    is_fresh: bool  # without outputs and cache, as in a fresh clone


def draw_kills(n_kills: int) -> list[Kill]:
    """Return moments that are spread over both commands, for each of the signals; more kills begin with the same."""
    rng = random.Random(0)
    kills = []
    for number in range(n_kills):
        rate = rng.uniform(1e-4, 1e-2)
        experiment = ("dvc", "exp", "run", "-S", f"train.learning_rate={rate:.6f}")
        command, n_stages = (experiment, 2) if number % 2 else (("dvc", "repro", "--force"), N_STAGES)
        moment = 5 * (number // 2) % (n_stages + 1), rng.uniform(0, 1)  # 5 has no common factor with 3 and 7
        kills.append(Kill(command, SIGNALS[number % 3], *moment, is_fresh=number % 10 == 0 and number > 0))
    return kills


@pytest.fixture
def small_project(project: Project) -> Project:
    """A project of the first rows of the sample."""
    copy_reviews(project.root / SAMPLE, project.root / SAMPLE, N_ROWS)
    return project


def interrupt(project: Project, kill: Kill, stage_seconds: float) -> int | None:
    """Run a command in a process group of its own, and send the signal to all of it; return its exit status."""
    if kill.is_fresh:
        project.run("git", "clean", "-fdqx", "data", "models", ".dvc/cache", ".dvc/tmp")
    process = subprocess.Popen(
        kill.command, cwd=project.root, env=project.environment(PYTHONUNBUFFERED="1"), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    n_stages, begun = 0, threading.Event()

    def read_output() -> None:
        nonlocal n_stages
        assert process.stdout is not None
        if not kill.n_stages:
            begun.set()
        for line in process.stdout:
            n_stages += line.startswith("Running stage")
            if n_stages == kill.n_stages:
                begun.set()
        begun.set()

    reader = threading.Thread(target=read_output)
    reader.start()
    try:
        assert begun.wait(START_SECONDS)
        try:
            process.wait(kill.delay * stage_seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, kill.signal)
        status = process.wait(END_SECONDS)
        reader.join(END_SECONDS)
        assert not reader.is_alive(), "a process of the command still runs"
        return status
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def run_or_repair(project: Project, *command: str) -> bool:
    """Run a command as `make repro` does, where it fails again after a repair; return whether there was one."""
    done = project.run(*command, check=False)
    if not done.returncode:
        return False
    repaired = project.run("python", "-m", "tools.repair", check=False)
    assert not repaired.returncode, f"{done.stdout}\n{done.stderr}\n{repaired.stderr}"
    project.run(*command)
    return True


@pytest.mark.parametrize(
    ("end", "error"),
    [
        ("", "'./dvc.lock' validation failed"),
        ("\n      md5", "'./dvc.lock' is invalid"),
        ("\n      hash: m", "failed to reproduce 'prepare'"),
    ],
)
def test_files_that_are_cut_off_are_repaired_and_nothing_runs_again(
    completed_project: Project, end: str, error: str
) -> None:
    """Else a repro after one kill in fifteen ends with exit status 255: DVC empties dvc.lock and rewrites it."""
    lock = completed_project.root / "dvc.lock"
    lock.write_text(lock.read_text().partition(end)[0] + end if end else "")
    failed = completed_project.run("dvc", "repro", check=False)
    assert failed.returncode == 255
    assert error in failed.stderr
    (completed_project.root / ".dvc/tmp/rwlock").write_bytes(b'{"write": {"/')
    repaired = completed_project.run("python", "-m", "tools.repair").stderr
    assert "dvc.lock was cut off" in repaired
    assert "rwlock was cut off" in repaired
    assert "Running stage" not in completed_project.run("dvc", "repro").stdout
    assert not completed_project.run("git", "status", "--porcelain").stdout


@pytest.mark.parametrize(
    "cut",
    [b"", *(b"schema: '2.0'\nstages:\n  " + end for end in (b"prep", b"prepare:\n    cmd:", b"prepare:\n    cmd: py"))],
)
def test_only_a_cut_dvc_lock_is_repaired(project: Project, monkeypatch: pytest.MonkeyPatch, cut: bytes) -> None:
    monkeypatch.chdir(project.root)
    assert not repair()
    lock = project.root / "dvc.lock"
    lock.write_bytes(cut)
    assert repair()
    assert not lock.exists()  # where no commit has one
    lock.write_text("schema: '2.0'\nstages: {}\n")
    project.commit("Run nothing")
    lock.write_bytes(cut)
    assert repair()
    assert not repair()
    assert not project.run("git", "status", "--porcelain").stdout


def test_a_cut_index_of_git_is_built_again_and_no_file_changes(
    completed_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC stages dvc.lock and metrics after each run; `make back` refused the index of a killed one."""
    monkeypatch.chdir(completed_project.root)
    completed_project.set_params(train={"epochs": 2})
    index = completed_project.root / ".git/index"
    for content in (b"", index.read_bytes()[:100], index.read_bytes()[:-30]):
        index.write_bytes(content)
        assert repair()
        assert not repair()
        assert completed_project.run("git", "status", "--porcelain").stdout == " M params.yaml\n"


def test_what_a_killed_stage_was_writing_is_gone_where_the_run_cache_restores_the_stage(
    completed_project: Project,
) -> None:
    committed = outputs(completed_project)
    for is_whole in (False, True):
        for name in ("prepare", "split", "encode", "evaluate"):
            if not is_whole:
                shutil.rmtree(completed_project.root / "data" / name)
                (completed_project.root / "data" / name).mkdir()
            (completed_project.root / "data" / name / ".reviews.parquet.65f66c11.partial").write_bytes(b"PAR1")
        assert "Running stage" not in completed_project.run("dvc", "repro").stdout
        assert outputs(completed_project) == committed


def test_the_lock_of_a_killed_git_command_is_removed_and_that_of_a_running_one_stays(
    completed_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every git command fails where it lies, `make back` among them."""
    monkeypatch.chdir(completed_project.root)
    locks = [completed_project.root / ".git" / name for name in ("index.lock", "HEAD.lock", "refs/heads/main.lock")]
    for lock in locks:
        lock.touch()
    with subprocess.Popen(("git", "cat-file", "--batch"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as running:
        assert not repair()
        assert all(lock.exists() for lock in locks)
        running.kill()
    assert repair()
    assert not any(lock.exists() for lock in locks)
    assert not repair()
    assert completed_project.run("git", "status", "--porcelain").stdout == ""


def test_head_at_a_killed_experiment_goes_back_to_its_branch(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC commits an experiment on a detached HEAD; after a kill, each later command ran on top of it."""
    monkeypatch.chdir(project.root)
    start = project.run("git", "rev-parse", "HEAD").stdout
    project.run("git", "checkout", "-q", "--detach")
    assert not repair()
    for rate in (0.1, 0.2):
        project.set_params(train={"learning_rate": rate})
        project.commit(f"dvc: commit experiment {rate}")
    assert repair()
    assert project.run("git", "symbolic-ref", "HEAD").stdout == "refs/heads/main\n"
    assert project.run("git", "rev-parse", "HEAD").stdout == start
    assert project.run("git", "status", "--porcelain").stdout == " M params.yaml\n"
    assert not repair()


def test_head_that_a_killed_experiment_detached_goes_back_to_its_branch(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every kill leaves HEAD so, and the next commit would be on no branch."""
    monkeypatch.chdir(project.root)
    project.run("git", "branch", "another")
    start = project.run("git", "rev-parse", "HEAD").stdout.strip()
    project.run("git", "update-ref", "refs/exps/exec/EXEC_HEAD", start)
    project.run("git", "checkout", "-q", start)
    assert repair()
    assert project.run("git", "symbolic-ref", "HEAD").stdout == "refs/heads/main\n"
    project.run("git", "checkout", "-q", "--detach", "another")
    project.run("git", "checkout", "-q", start[:10])  # by a person
    assert not repair()


def outputs(project: Project) -> dict[str, bytes]:
    """Return what a run writes: every file of the outputs, metrics and dvc.lock.

    Not data/.encode, which git ignores: where a killed run of encode leaves what it has computed to its next run.
    """
    names = [project.root / name for name in ("dvc.lock", "data", "metrics", "models")]
    files = (file for path in names for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
    return {str(file.relative_to(project.root)): file.read_bytes() for file in files if file.parent.name != ".encode"}


@pytest.mark.slow
def test_a_repro_after_a_kill_gives_the_committed_bytes(small_project: Project) -> None:
    start = time.monotonic()
    small_project.run("dvc", "repro")
    stage_seconds = (time.monotonic() - start) / N_STAGES
    small_project.commit("Run the pipeline")
    committed = outputs(small_project)
    failures = []
    n_repaired = 0
    for number, kill in enumerate(draw_kills(N_KILLS)):
        status = interrupt(small_project, kill, stage_seconds)
        repaired = False
        try:
            if kill.command[1] == "exp":
                repaired = run_or_repair(small_project, "make", "-o", ".venv/.installed", "back")
            repaired |= run_or_repair(small_project, "dvc", "repro")
            after = outputs(small_project)
            changed = sorted(name for name in {*committed, *after} if committed.get(name) != after.get(name))
            assert not changed
            assert not small_project.run("git", "status", "--porcelain").stdout
            assert small_project.run("git", "branch", "--show-current").stdout == "main\n"
        except AssertionError as error:
            failures.append(f"{number} {kill}: {error}")
            log.info("%s", failures[-1])
            small_project.run("git", "switch", "-q", "--force", "main")
            small_project.run("git", "reset", "-q", "--hard")
            small_project.run("git", "clean", "-fdq")
            small_project.run("dvc", "repro")
        n_repaired += repaired
        log.info("%d %s exit %s%s, %d failed", number, kill, status, ", repaired" if repaired else "", len(failures))
    log.info("%d of %d held, %d of them after a repair", N_KILLS - len(failures), N_KILLS, n_repaired)
    assert not failures, "\n\n".join(failures)
    small_project.run("dvc", "repro", "--force", "--single-item", "encode")
    assert not (small_project.root / "data/.encode").exists(), "the next run of encode takes up what killed ones left"
