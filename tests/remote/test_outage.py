"""The storage is away for 20 seconds, at the worst moment: the job and the client both wait for it."""

import time
from pathlib import Path

import pytest

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
