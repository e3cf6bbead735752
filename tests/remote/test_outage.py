"""The storage is away for 20 seconds, at the worst moment: the job and the client both wait for it."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sentiment.remote.client import follow
from sentiment.remote.job import Status
from sentiment.remote.runner import FINAL
from tests.project import Project
from tests.remote.conftest import EVALUATE_AGAIN, RemoteProject
from tests.remote.test_faults import Started
from tests.s3_server import running_server

pytestmark = [pytest.mark.slow, pytest.mark.s3]

OUTAGE_S = 20


def test_a_job_survives_a_storage_outage_of_20_seconds(
    completed_project: Project, project_template: Project, tmp_path: Path
) -> None:
    with running_server(project_template.clone(tmp_path / "server")) as server:
        server.connect(completed_project, "outage")
        started = Started(RemoteProject(completed_project, server, "outage"), "-n", "there", "--", *EVALUATE_AGAIN)
        started.wait_for_log("Running stage 'evaluate'")  # the push falls into the outage
        server.kill()
        time.sleep(OUTAGE_S)
        server.start()
        status, printed = started.end()
        assert status == 0, printed
        assert "brought there" in printed
        assert printed.count("Running stage 'evaluate'") == 1
        assert completed_project.experiment("there")


@pytest.mark.parametrize(("code", "is_waited_for"), [(500, True), (503, True), (403, False)])
def test_a_server_that_starts_again_answers_with_an_error_and_is_waited_for(code: int, is_waited_for: bool) -> None:
    """As SeaweedFS does until its volumes are there; the client ended with the first such answer."""
    failures = [ClientError({"ResponseMetadata": {"HTTPStatusCode": code}}, "GetObject")]

    def status(heartbeat_s: float) -> Status:
        if failures:
            raise failures.pop()
        return Status(next(iter(FINAL)), "ended", heartbeat_s)

    folder: Any = SimpleNamespace(job=lambda: {"heartbeat_s": 1.0, "start_limit_s": 5.0}, status=status)
    backend: Any = None
    if is_waited_for:
        assert follow(folder, backend, is_shown=False, limit_s=30).line == "ended"
    else:
        with pytest.raises(ClientError):
            follow(folder, backend, is_shown=False, limit_s=30)
