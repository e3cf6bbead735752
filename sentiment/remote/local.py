"""Runs a job on this machine, in a folder and process of its own: to try what a remote run does, and for tests."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sentiment.remote.backends import BackendState
from sentiment.remote.job import JobFolder
from sentiment.remote.submit import runner_archive
from sentiment.storage.s3 import Remote

FOLDER = Path(".dvc/tmp/remote")  # ignored by git


@dataclass(frozen=True)
class LocalBackend:
    """A process on this machine that goes on when this one ends.

    Attributes:
        python: an interpreter that has the lock; None for the running one where it has the lock, else an environment
            is made.
    """

    python: Path | None = None
    start_limit_s: float = 60.0

    def check(self) -> None:
        """Do nothing: this machine is here."""

    def cancel(self, folder: JobFolder) -> None:
        """Do nothing: the runner reads the request to stop."""

    def start(self, folder: JobFolder) -> str:
        """Start the runner; it inherits this environment, and the keys that DVC has for the remote."""
        work = (FOLDER / folder.id).resolve()
        work.mkdir(parents=True)
        archive = work / "runner.pyz"
        archive.write_bytes(runner_archive())
        command = [sys.executable, str(archive), *runner_arguments(folder), "--work", str(work)]
        if python := self.python or current_python(Path("requirements.txt").read_text(encoding="utf-8")):
            command += ["--python", str(python.absolute())]
        with (work / "runner.log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=work, env=environment(folder.remote), stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        (work / "pid").write_text(str(process.pid), encoding="ascii")
        return f"process {process.pid} in {work}"

    def describe(self, folder: JobFolder) -> BackendState:
        """Return whether the process of a job has ended, and what it wrote last."""
        work = FOLDER / folder.id
        if not (work / "pid").exists():
            return BackendState(False, "on another machine")
        pid = int((work / "pid").read_text(encoding="ascii"))
        if is_runner(pid, folder.id):
            return BackendState(False, f"process {pid}")
        lines = (work / "runner.log").read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "")
        return BackendState(True, f"its process has ended{': ' if last else ''}{last.removeprefix('error: ')}")


def is_runner(pid: int, job_id: str) -> bool:
    """Return whether a process is the runner of a job; a number may have been given to another process since."""
    try:
        shown = subprocess.run(
            ["ps", "-ww", "-o", "stat=,args=", "-p", str(pid)], capture_output=True, text=True, timeout=30
        )
    except FileNotFoundError:  # a slim image without procps: its heartbeat tells
        return True
    state, _, arguments = shown.stdout.strip().partition(" ")
    return job_id in arguments and not state.startswith("Z")


def runner_arguments(folder: JobFolder, region: str | None = None) -> list[str]:
    """Return the arguments with which a runner finds a job; `region` where the remote names none."""
    store, settings = folder.store, folder.remote.settings
    arguments = ["--bucket", store.bucket, "--prefix", store.prefix]
    if settings.get("endpointurl"):
        arguments += ["--endpoint", str(settings["endpointurl"])]
    if region := settings.get("region") or region:
        arguments += ["--region", str(region)]
    return arguments


def environment(remote: Remote) -> dict[str, str]:
    """Return this environment with the keys or the profile that DVC has for the remote, where it has any."""
    variables = dict(os.environ)
    settings = remote.settings
    if settings.get("access_key_id"):
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            variables.pop(name, None)
        variables["AWS_ACCESS_KEY_ID"] = str(settings["access_key_id"])
        variables["AWS_SECRET_ACCESS_KEY"] = str(settings.get("secret_access_key", ""))
        if settings.get("session_token"):
            variables["AWS_SESSION_TOKEN"] = str(settings["session_token"])
    elif settings.get("profile"):
        variables["AWS_PROFILE"] = str(settings["profile"])
    return variables


def current_python(lock: str) -> Path | None:
    """Return the running interpreter if it has every package of a lock in its version, markers aside."""
    for name, pinned in re.findall(r"^([A-Za-z0-9_.-]+)(?:\[[^]]*\])?==([^\s;]+)\s*$", lock, re.MULTILINE):
        try:
            if version(name).partition("+")[0] != pinned:  # torch 2.13.0+cpu is built from 2.13.0
                return None
        except PackageNotFoundError:
            return None
    return Path(sys.executable)
