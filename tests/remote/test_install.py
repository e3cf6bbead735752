"""Without --python the runner installs the lock into an environment, which later jobs on the machine use again."""

import fcntl
import hashlib
import json
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

import sentiment.remote.runner as runner
from sentiment.remote.runner import LOG, STATUS, Store
from tests.remote.conftest import send_job
from tests.s3_server import BUCKET, REGION, S3Server

pytestmark = [pytest.mark.slow, pytest.mark.s3]

WHEEL = "lock-1-py3-none-any.whl"
INFO = "lock-1.dist-info"


def write_wheel(file: Path) -> None:
    """Write a wheel with modules `dvc` and `sentiment`, whose every command succeeds."""
    with zipfile.ZipFile(file, "w") as wheel:
        for package in ("dvc", "sentiment"):
            wheel.writestr(f"{package}/__init__.py", "")
            wheel.writestr(f"{package}/__main__.py", f"print('{package} of the lock')")
        wheel.writestr(f"{INFO}/METADATA", "Metadata-Version: 2.1\nName: lock\nVersion: 1\n")
        wheel.writestr(
            f"{INFO}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{INFO}/RECORD", "")


def run_job(server: S3Server, folder: Path, name: str, lock: str) -> tuple[int, dict[str, Any], str]:
    """Run a job of one experiment whose requirements.txt is `lock`; return exit status, last status and log."""
    source, store = folder / f"source-{name}", Store(server.client(), BUCKET, f"{folder.name}/jobs/{name}")
    source.mkdir()
    write_wheel(source / WHEEL)
    (source / "requirements.txt").write_text(lock)
    send_job(store, source, [["-n", "one"]])
    arguments = ["--bucket", BUCKET, "--prefix", store.prefix, "--endpoint", server.endpoint, "--region", REGION]
    command = [sys.executable, str(runner.__file__), *arguments, "--work", str(folder / name)]
    own = {"PATH": "/usr/bin:/bin", "SENTIMENT_REMOTE_CACHE": str(folder / "cache")}
    done = subprocess.run(command, env=server.environment() | own, timeout=240)
    return done.returncode, json.loads(store.get(STATUS)), store.get(LOG).decode()


def test_the_lock_is_installed_once(s3_server: S3Server, tmp_path: Path) -> None:
    status, last, log = run_job(s3_server, tmp_path, "first", f"./{WHEEL}\n")
    assert (status, last["state"]) == (0, "finished"), log
    assert ": installing requirements.txt\n" in log
    assert "dvc of the lock\nsentiment of the lock\n" in log
    status, last, log = run_job(s3_server, tmp_path, "second", f"./{WHEEL}\n")
    assert (status, last["state"]) == (0, "finished"), log
    assert ": present\n" in log
    assert "installing" not in log


def test_a_job_that_waits_for_the_installation_of_another_can_be_stopped(s3_server: S3Server, tmp_path: Path) -> None:
    source, store = tmp_path / "source", Store(s3_server.client(), BUCKET, f"{tmp_path.name}/jobs/waits")
    source.mkdir()
    (source / "requirements.txt").write_text("x\n")
    send_job(store, source, [["-n", "one"]])
    name = hashlib.sha256(b"x\n" + sys.version.encode()).hexdigest()[:16]
    arguments = ["--bucket", BUCKET, "--prefix", store.prefix, "--endpoint", s3_server.endpoint, "--region", REGION]
    command = [sys.executable, str(runner.__file__), *arguments, "--work", str(tmp_path / "work")]
    own = {"PATH": "/usr/bin:/bin", "SENTIMENT_REMOTE_CACHE": str(tmp_path / "cache")}
    (tmp_path / "cache").mkdir()
    with (tmp_path / "cache" / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with subprocess.Popen(command, env=s3_server.environment() | own) as process:
            try:
                deadline = time.monotonic() + 60
                while not (tmp_path / "work/project/requirements.txt").exists():
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
                time.sleep(1)  # until it waits
                process.terminate()
                assert process.wait(30)
            finally:
                process.kill()
    assert json.loads(store.get(STATUS))["state"] == "stopped"


def test_a_lock_that_cannot_be_installed_is_named_with_the_reason(s3_server: S3Server, tmp_path: Path) -> None:
    for name in ("first", "second"):  # half an environment is not taken for a whole one
        status, last, log = run_job(s3_server, tmp_path, name, "./missing-1-py3-none-any.whl\n")
        assert (status, last["state"]) == (1, "failed"), log
        assert last["message"].startswith("requirements.txt could not be installed (exit status 1): ")
        assert "missing-1-py3-none-any.whl" in last["message"]
