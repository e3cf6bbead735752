"""The steps of a job: take the project, install its lock, run each experiment, push, bring the references back."""

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from .command import Commands, Interrupted
from .heartbeat import Heartbeat
from .install import InstallError, python_with_lock
from .layout import (
    BUNDLE,
    EXPERIMENTS,
    FAILED,
    FINISHED,
    PREPARING,
    PUSHING,
    RUNNING,
    STOPPED,
)
from .log import Log
from .project import bundle_experiments, check_out, experiment_refs
from .store import RETRY_TIMEOUT, Store, StoreError, with_retries

PUSH_ATTEMPTS = 6
SAVE_EVERY_S = 60.0  # a push takes seconds, and quick experiments of a grid share one
FINAL_PUSH_S = 90.0  # of the 120 s that a spot instance has after SIGTERM


class JobError(Exception):
    """A step of the job failed; the message says which one and why."""


class JobRun:
    """One job on this machine."""

    def __init__(self, job: dict[str, Any], store: Store, log: Log, beat: Heartbeat, commands: Commands) -> None:
        self._job, self._store, self._log, self._beat, self._commands = job, store, log, beat, commands
        self._failures: list[str] = []

    def run(self, work: Path, python: Path | None) -> str:
        """Run all steps below the folder `work`; return the final state, which the status then has."""
        project = work / "project"
        try:
            self._prepare(work, project, python)
            saved = time.monotonic()
            for number, arguments in enumerate(self._job["runs"], 1):
                self._experiment(number, arguments)
                if number == len(self._job["runs"]) or time.monotonic() - saved > SAVE_EVERY_S:
                    self._save(work)
                    saved = time.monotonic()
                self._reset()
            state, message = (FAILED, "; ".join(self._failures)) if self._failures else (FINISHED, "")
        except Interrupted as error:
            state, message = STOPPED, str(error)
            message = self._save_after_stop(work, project, message)
        except (JobError, InstallError, StoreError) as error:
            state, message = FAILED, "; ".join([*self._failures, str(error)])
        self._beat.set(state=state, message=message)
        self._log.line(f"{state}{': ' if message else ''}{message}")
        return state

    def _prepare(self, work: Path, project: Path, python: Path | None) -> None:
        self._beat.set(state=PREPARING, run=0, experiments=[])
        bundle = work / "repo.bundle"
        bundle.write_bytes(with_retries(lambda: self._store.get(BUNDLE), "the project's bundle"))
        shutil.rmtree(project, ignore_errors=True)
        project.mkdir()
        try:
            check_out(bundle, self._job, self._commands, project)
        except subprocess.CalledProcessError as error:
            raise JobError(f"git: {' '.join(str(error.stderr).split())}") from None
        self._commands.check()
        python = python or python_with_lock(project / "requirements.txt", self._commands, self._log)
        path = self._commands.environment["PATH"]
        self._commands.environment["PATH"] = f"{python.parent}:{path}"
        self._python = str(python)

    def _experiment(self, number: int, arguments: list[str]) -> None:
        """Run one experiment; where the storage was away meanwhile, wait for it and go on where the run ended."""
        self._beat.set(state=RUNNING, run=number)
        self._log.line(f"experiment {number} of {len(self._job['runs'])}: dvc exp run {' '.join(arguments)}")
        before = set(experiment_refs(self._commands))
        for attempt in (1, 2, 3):
            outages = self._beat.outages
            self._log.last_error = ""
            # data of stages that do not run stays away; where some is nowhere, its stage has to run
            allowed = ["--allow-missing"] if self._job["is_complete"] else []
            status = self._dvc("exp", "run", "--pull", *allowed, *arguments)
            if status == 0 or self._beat.outages == outages or attempt == 3:
                break
            self._log.line("the storage did not answer meanwhile; waiting for it, then once more")
            with_retries(self._beat.put, "the storage")
        if status:
            reason = self._log.last_error or f"exit status {status}"
            self._failures.append(f"experiment {number}: {reason}")
        new = sorted(set(experiment_refs(self._commands)) - before)
        self._log.line(f"experiment {number}: {', '.join(new) if new else 'no new experiment'}")

    def _save(self, work: Path) -> None:
        """Push data, then bring references: a reference without its data would be of no use."""
        self._beat.set(state=PUSHING)
        self._push(RETRY_TIMEOUT)
        self._put_references(work, RETRY_TIMEOUT)

    def _reset(self) -> None:
        """Go back to what was sent, so that the next experiment starts from it."""
        self._commands.output("git", "reset", "--quiet", "--hard")
        if self._job["changes"]:
            self._commands.output("git", "restore", f"--source={self._job['changes']}", "--worktree", "--", ".")

    def _put_references(self, work: Path, timeout: float) -> None:
        bundle = bundle_experiments(self._commands, self._job["commit"], work / "experiments.bundle")
        if bundle is not None:
            with_retries(lambda: self._store.put(EXPERIMENTS, bundle), "the experiments", timeout)
            self._beat.set(experiments=sorted(experiment_refs(self._commands)))

    def _push(self, seconds: float) -> None:
        """Push outputs and run cache within a time; raises JobError."""
        deadline = time.monotonic() + seconds
        for attempt in range(PUSH_ATTEMPTS):
            left = deadline - time.monotonic()
            if attempt and left <= 0:
                break
            if self._commands.run(self._python, "-m", "sentiment", "push", limit=max(left, 1)) == 0:
                return
            time.sleep(min(2.0 * 2**attempt, max(deadline - time.monotonic(), 0)))
        raise JobError(f"dvc push failed: {self._log.last_error}")

    def _save_after_stop(self, work: Path, project: Path, message: str) -> str:
        """Push what is complete; return the message with what failed."""
        self._commands.resume()
        if not (project / ".dvc" / "cache").is_dir():
            return message
        self._log.line(f"{message}; pushing what is complete")
        try:
            self._push(FINAL_PUSH_S)
            self._put_references(work, FINAL_PUSH_S)
        except (JobError, StoreError, Interrupted) as error:
            return f"{message}; {error}"
        return f"{message}; complete stages are pushed"

    def _dvc(self, *arguments: str) -> int:
        return self._commands.run(self._python, "-m", "dvc", *arguments)


def read_job(store: Store) -> dict[str, Any]:
    """Return the job as it was sent."""
    from .layout import JOB

    job: dict[str, Any] = json.loads(with_retries(lambda: store.get(JOB), "the job"))
    return job
