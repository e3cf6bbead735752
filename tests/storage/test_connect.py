"""Other checkouts and colleagues: they find a server that runs, and are shown how to use it."""

import shlex
from pathlib import Path

import pytest
from dvc.config import Config

from tests.project import Project
from tests.s3_server import S3Server, free_port

pytestmark = pytest.mark.slow  # each test starts servers, or draws in a browser


def local_remotes(project: Project) -> dict[str, dict[str, str]]:
    return dict(Config(str(project.root / ".dvc")).read("local")["remote"])


def test_start_in_a_second_clone_names_the_server_that_runs_and_connect_uses_it(
    s3_server: S3Server, pushed_project: Project, tmp_path: Path
) -> None:
    clone = pushed_project.clone(tmp_path / "clone")
    refused = clone.run("python", "-m", "storage.server", "start", "--port", str(s3_server.port), check=False)
    assert refused.returncode == 1
    root = s3_server.project.root
    assert f'the server of {root} runs on port {s3_server.port}; `make s3 USE="{root}"` uses it here' in refused.stderr

    clone.run("make", "-f", "Makefile", "-o", ".venv/.installed", "s3", f"USE={root}")
    clone.run("dvc", "remote", "modify", "--local", "storage", "url", "s3://sentiment-dvc/pushed")
    clone.run("dvc", "pull")
    assert (clone.root / "models/classifier/config.json").is_file()


def test_share_prints_commands_with_which_a_colleague_pulls_but_does_not_push(
    s3_server: S3Server, pushed_project: Project, tmp_path: Path
) -> None:
    commands = s3_server.call("share").stdout.splitlines()
    secret = s3_server.credentials.developer.secret_access_key
    assert not [command for command in commands if secret in command]
    clone = pushed_project.clone(tmp_path / "clone")
    for command in commands:
        clone.run(*shlex.split(command))
    clone.run("dvc", "remote", "modify", "--local", "storage", "url", "s3://sentiment-dvc/pushed")
    clone.run("dvc", "pull")
    (clone.root / "new.txt").write_text("new")
    clone.run("dvc", "add", "new.txt")
    assert clone.run("dvc", "push", check=False).returncode != 0


def test_connect_to_a_checkout_without_a_server_is_refused(project: Project, tmp_path: Path) -> None:
    refused = project.run("python", "-m", "storage.server", "connect", str(tmp_path), check=False)
    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [
        f"error: {tmp_path}/.s3: no server runs there; `make s3` in that checkout starts it"
    ]


def test_start_on_another_port_moves_the_reviews_source_along(own_s3_server: S3Server) -> None:
    server = own_s3_server
    server.call("start", "--source", "data/raw/sample.csv")
    assert local_remotes(server.project)["reviews-source"]["endpointurl"] == server.endpoint
    server.call("stop")
    port = free_port()
    server.call("start", "--port", str(port))
    moved = {name: remote["endpointurl"] for name, remote in local_remotes(server.project).items()}
    assert moved == dict.fromkeys(("storage", "reviews-source"), f"http://127.0.0.1:{port}")
    source = "remote://reviews-source/womens_clothing_ecommerce_reviews.csv"
    server.project.run("dvc", "import-url", "--force", source, "data/raw/reviews.csv")
