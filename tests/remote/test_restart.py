"""A service that takes a machine away starts the runner again: one log, and each experiment once."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sentiment.remote.backends import CACHE_OF_HOST
from sentiment.remote.job import job_lines
from sentiment.remote.runner import EXPERIMENTS, LOG, STATUS, STOP, JobRun, Log, Store, cache_folder
from sentiment.storage.s3 import Remote
from tests.remote.conftest import send_job
from tests.s3_server import BUCKET, REGION, S3Server, wait_for

JOB_ID = "20260131-093000-1a2b3c"
# in the place of an interpreter with the lock: an experiment is a reference, and the first run of the second one hangs
# the first lines are Python and shell: the path of an interpreter may have a blank, as pip's scripts have it
INTERPRETER = """#!/bin/sh
'''exec' "{python}" "$0" "$@"
' '''
import hashlib, os, pathlib, subprocess, sys, time
words = sys.argv[1:]
print("key:", os.environ["AWS_SECRET_ACCESS_KEY"], flush=True)
if words[:3] == ["-m", "dvc", "exp"]:
    name, calls = words[words.index("-n") + 1], pathlib.Path({calls!r})
    calls.write_text(calls.read_text() + name + "\\n")
    pathlib.Path(".dvc/cache").mkdir(parents=True, exist_ok=True)
    if calls.read_text().count("grid-2") == 1 and name == "grid-2":
        time.sleep(120)
    text = f"{{name}} {{time.time_ns()}}"
    commit = ["git", "commit-tree", "-m", text, "-p", "HEAD", "HEAD^{{tree}}"]
    commit = subprocess.run(commit, capture_output=True, text=True, check=True).stdout.strip()
    ref = f"refs/exps/{{commit[:2]}}/{{commit[2:]}}/{{name}}"
    subprocess.run(["git", "update-ref", ref, commit], check=True)
"""


class Job:
    """A grid of three experiments in the storage, and the runner for it."""

    def __init__(self, server: S3Server, folder: Path) -> None:
        self.prefix = f"{folder.name}/jobs/{JOB_ID}"
        self.store = Store(server.client(), BUCKET, self.prefix)
        self.calls = folder / "calls"
        self.calls.touch()
        self.secret = server.credentials.developer.secret_access_key
        self._server, self._folder = server, folder
        self._python = folder / "python"
        self._python.write_text(INTERPRETER.format(python=sys.executable, calls=str(self.calls)))
        self._python.chmod(0o755)
        send_job(self.store, folder / "source", [["-n", f"grid-{number}"] for number in (1, 2, 3)])

    def start(self, machine: str) -> "subprocess.Popen[bytes]":
        """Start the runner in a folder of its own, as on a new machine."""
        import sentiment.remote.runner as runner

        arguments = ["--bucket", BUCKET, "--prefix", self.prefix, "--endpoint", self._server.endpoint]
        arguments += ["--region", REGION, "--python", str(self._python), "--work", str(self._folder / machine)]
        command = [sys.executable, str(runner.__file__), *arguments, "--restarts"]
        return subprocess.Popen(command, env=self._server.environment() | {"PATH": "/usr/bin:/bin"})

    def status(self) -> dict[str, Any]:
        """Return the last status."""
        return dict(json.loads(self.store.get(STATUS)))

    def experiments(self) -> dict[str, str]:
        """Return the commit of each saved experiment by its name."""
        bundle = self._folder / "saved.bundle"
        bundle.write_bytes(self.store.get(EXPERIMENTS))
        listed = subprocess.run(
            ["git", "bundle", "list-heads", str(bundle)], capture_output=True, text=True, check=True
        )
        heads = [line.split() for line in listed.stdout.splitlines()]
        return {ref.rpartition("/")[2]: commit for commit, ref in heads}


@pytest.fixture
def interrupted(s3_server: S3Server, tmp_path: Path) -> Iterator[tuple[Job, "subprocess.Popen[bytes]"]]:
    """A job whose second experiment runs, and its runner."""
    job = Job(s3_server, tmp_path)
    with job.start("first") as runner:
        wait_for(lambda: "grid-2" in job.calls.read_text(), 60)
        yield job, runner
        runner.kill()


@pytest.mark.s3
def test_a_runner_that_is_started_again_goes_on_after_what_was_saved(
    interrupted: tuple[Job, "subprocess.Popen[bytes]"],
) -> None:
    job, runner = interrupted
    runner.send_signal(signal.SIGTERM)
    assert runner.wait(60) == 143
    first, saved, first_log = job.status(), job.experiments(), job.store.get(LOG)
    assert (first["state"], first["done"], list(saved)) == ("interrupted", 1, ["grid-1"])
    with job.start("second") as again:
        assert again.wait(60) == 0
    assert job.calls.read_text().split() == ["grid-1", "grid-2", "grid-2", "grid-3"]
    experiments = job.experiments()
    assert sorted(experiments) == ["grid-1", "grid-2", "grid-3"]
    assert experiments["grid-1"] == saved["grid-1"]
    assert job.store.get(LOG).startswith(first_log)
    assert job.store.get(LOG).endswith(b"remote: finished\n")
    assert b"\nkey: ***\n" in first_log
    assert job.secret.encode() not in job.store.get(LOG)


@pytest.mark.s3
def test_a_signal_after_a_request_to_stop_is_the_end(interrupted: tuple[Job, "subprocess.Popen[bytes]"]) -> None:
    job, runner = interrupted
    job.store.put(STOP, b"")
    runner.send_signal(signal.SIGTERM)
    assert runner.wait(60) == 143
    assert job.status()["state"] == "stopped"


@pytest.mark.s3
def test_the_status_shows_no_secret(s3_server: S3Server, tmp_path: Path) -> None:
    store = Store(s3_server.client(), BUCKET, f"{tmp_path.name}/jobs/{JOB_ID}")
    log = Log(store, tmp_path / "log.txt", lambda: {"wJalrXUtnFEMI/K7MDENG"})
    job_run = JobRun({"heartbeat_s": 60}, store, log, tmp_path, {"message": "https://a:wJalrXUtnFEMI/K7MDENG@host"})
    job_run.close()
    assert json.loads(store.get(STATUS))["message"] == "https://a:***@host"


@pytest.mark.s3
@pytest.mark.parametrize("content", [b"", b"[]", b'{"id": "x", "on": ["local"]}'])
def test_a_job_that_cannot_be_read_does_not_hide_the_others(
    s3_server: S3Server, tmp_path: Path, content: bytes
) -> None:
    key, prefix = s3_server.credentials.developer, tmp_path.name
    settings = {"endpointurl": s3_server.endpoint, "region": REGION}
    settings |= {"access_key_id": key.access_key_id, "secret_access_key": key.secret_access_key}
    Store(s3_server.client(), BUCKET, f"{prefix}/jobs/{JOB_ID}").put("input/job.json", content)
    good = json.dumps({"on": ["local"], "commit": "0123456789", "heartbeat_s": 15}).encode()
    Store(s3_server.client(), BUCKET, f"{prefix}/jobs/20260201-000000-ffffff").put("input/job.json", good)
    _, damaged, other = job_lines(Remote("storage", BUCKET, prefix, settings))
    assert re.match(rf"{JOB_ID}  not (sent|readable) +- ", damaged)
    assert other.split() == ["20260201-000000-ffffff", "waiting", "local", "0123456", "-"]


def test_a_tilde_in_the_name_of_the_cache_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"HOME": str(tmp_path), "SENTIMENT_REMOTE_CACHE": "~/cache", "PATH": "/usr/bin:/bin"}
    script = CACHE_OF_HOST + 'echo "$cache"'
    shown = subprocess.run(["sh", "-c", script], env=variables, capture_output=True, text=True, check=True).stdout
    assert shown == f"{tmp_path}/cache\n"
    for name in ("HOME", "SENTIMENT_REMOTE_CACHE"):
        monkeypatch.setenv(name, variables[name])
    assert cache_folder() == tmp_path / "cache"
