"""What a job needs goes along: inputs and outputs that the remote lacks; what is nowhere is made there, or named."""

from pathlib import Path

import pytest

from tests.project import SAMPLE, Project, copy_reviews
from tests.remote.conftest import RemoteProject
from tests.s3_server import S3Server

pytestmark = [pytest.mark.slow, pytest.mark.s3]

CHANGE = ("run", "-n", "there", "--", "-S", "train.seed=6")


def test_unavailable_outputs_are_made_by_the_job_and_a_tracked_input_is_sent(
    completed_project: Project, s3_server: S3Server, tmp_path: Path
) -> None:
    source = completed_project.root / "data" / "raw" / "mine.csv"
    copy_reviews(completed_project.root / SAMPLE, source, 600)
    completed_project.run("dvc", "add", "-q", "data/raw/mine.csv")
    completed_project.set_params(prepare={"source": "data/raw/mine.csv"})
    completed_project.commit("Reviews of our own")
    clone = completed_project.clone(tmp_path / "clone")  # without a cache
    prefix = f"remote-{tmp_path.name}"
    s3_server.connect(clone, prefix)
    remote_project = RemoteProject(clone, s3_server, prefix)
    refused = remote_project.remote(*CHANGE, check=False)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1), refused.stderr
    assert "data/raw/mine.csv: neither in the cache here nor in the remote" in refused.stderr

    (clone.root / "data" / "raw" / "mine.csv").write_bytes(source.read_bytes())
    clone.run("dvc", "add", "-q", "data/raw/mine.csv")
    assert clone.run("git", "status", "--porcelain").stdout == ""
    done = remote_project.remote(*CHANGE)
    assert "brought there" in done.stderr
    assert "Running stage 'encode'" in done.stdout
