"""Projects whose DVC remote is on the local S3 server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project import Project
from tests.s3_server import S3Server, running_server


@pytest.fixture(scope="session", autouse=True)
def _without_aws_settings() -> Iterator[None]:
    """Hide the user's own AWS settings, and do not look for an instance role."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_CONFIG_FILE", "/nonexistent/config")
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture
def own_s3_server(project_template: Project, tmp_path: Path) -> Iterator[S3Server]:
    """A server of the test's own, which it may stop, kill and restart."""
    with running_server(project_template.clone(tmp_path / "server")) as server:
        yield server


@pytest.fixture(scope="session")
def pushed_project(
    completed_template: Project, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """A project run with threshold 0.6 after 0.5, pushed with its run cache below the prefix "pushed".

    Only to be read: clone it, and copy its objects to change them.
    """
    project = completed_template.clone(tmp_path_factory.mktemp("pushed") / "project")
    (project.root / ".dvc" / "cache").parent.mkdir(exist_ok=True)
    project.run("cp", "-r", str(completed_template.root / ".dvc" / "cache"), ".dvc/cache")
    s3_server.connect(project, "pushed")
    project.run("dvc", "checkout")
    project.set_params(train={"threshold": 0.6})
    project.run("dvc", "repro")
    project.commit("Run with another threshold")
    project.run("sentiment", "push")
    return project


@pytest.fixture
def pulled_clone(pushed_project: Project, s3_server: S3Server, tmp_path: Path) -> Project:
    """A colleague's clone of that project, with every output pulled from the server."""
    clone = pushed_project.clone(tmp_path / "clone")
    s3_server.connect(clone, "pushed")
    clone.run("dvc", "pull")
    return clone


@pytest.fixture
def bare_project(tmp_path: Path) -> Project:
    """A git and DVC repository with nothing in it but a remote named storage."""
    project = Project(tmp_path / "bare")
    project.root.mkdir()
    project.run("git", "init", "-q", "-b", "main")
    project.run("dvc", "init", "-q")
    config = "[core]\nremote = storage\nanalytics = false\n['remote \"storage\"']\nurl = s3://sentiment-dvc/unset\n"
    (project.root / ".dvc" / "config").write_text(config + "verify = true\n")
    project.commit("Nothing yet")
    return project
