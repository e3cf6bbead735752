"""The runner killed, a job that is unknown, a storage that does not answer: one clear line, nothing lost."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.remote.conftest import TRAIN_FOR_MINUTES, RemoteProject
from tests.s3_server import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.s3]


class Started:
    """A `sentiment remote run` that goes on, and the runner that it started."""

    def __init__(self, remote_project: RemoteProject, *arguments: str) -> None:
        self.remote_project = remote_project
        self.client = remote_project.start("run", *arguments)
        jobs = remote_project.project.root / ".dvc" / "tmp" / "remote" / "jobs"
        wait_for(lambda: any(path.read_text() for path in jobs.glob("*/pid")), 60)
        self.work = next(jobs.glob("*/pid")).parent
        self.id = self.work.name
        self.pid = int((self.work / "pid").read_text())

    def wait_for_log(self, text: str) -> None:
        """Wait until the runner has logged a text."""
        wait_for(lambda: (self.work / "log.txt").exists() and text in (self.work / "log.txt").read_text(), 180)

    def end(self) -> tuple[int, str]:
        """Wait for the client; return its exit status and what it printed."""
        printed = self.client.communicate(timeout=240)[0]
        return self.client.returncode, printed

    def processes(self) -> list[psutil.Process]:
        """Return the processes that work in the job's folder."""
        return [one for one in psutil.process_iter(["cwd"]) if str(one.info["cwd"] or "").startswith(str(self.work))]


@pytest.fixture
def started(remote_project: RemoteProject) -> Iterator[Started]:
    """A job that trains for longer than the test takes."""
    one = Started(remote_project, "-n", "there", "--", *TRAIN_FOR_MINUTES)
    yield one
    one.client.kill()
    for process in one.processes():
        process.kill()


def test_a_killed_runner_is_reported_and_leaves_no_process(started: Started) -> None:
    started.wait_for_log("Running stage 'train'")
    os.kill(started.pid, signal.SIGKILL)
    status, printed = started.end()
    assert status == 1
    assert re.search(
        rf"error: job {started.id} lost: no heartbeat for \d+ s, in state running \(its process has ended", printed
    )
    assert f"`sentiment remote fetch {started.id}`" in printed
    wait_for(lambda: not started.processes(), 10)
    fetched = started.remote_project.remote("fetch", started.id, check=False)
    assert (fetched.returncode, "lost: no heartbeat" in fetched.stderr) == (1, True)
    assert "lost" in started.remote_project.remote("list").stdout


@pytest.mark.parametrize("action", ["logs", "stop"])
def test_an_unknown_job_is_one_line(remote_project: RemoteProject, action: str) -> None:
    for job_id, message in (
        ("20200101-000000-abcdef", "no such job (`sentiment remote list`)"),
        ("../../x", "is not a job id"),
    ):
        refused = remote_project.remote(action, job_id, check=False)
        assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)
        assert message in refused.stderr


def test_an_unreachable_storage_is_one_line(remote_project: RemoteProject, tmp_path: Path) -> None:
    config = remote_project.project.root / ".dvc" / "config.local"
    config.write_text(config.read_text().replace(str(remote_project.server.port), "9"))
    refused = remote_project.remote("list", check=False)
    assert (refused.returncode, refused.stdout, len(refused.stderr.splitlines())) == (1, "", 1)
    assert "http://127.0.0.1:9" in refused.stderr
