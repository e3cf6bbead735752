"""`make s3` and `make s3-stop`: safe to call twice, clear about what is in the way, exact about what they terminate."""

import shutil
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from storage.check_result import Status
from storage.machine_checks import MachineError, check_cache_space
from storage.process import ServerError, find, terminate
from storage.remote_checks import check_skew
from storage.server import check_free_space
from tests.project import Project
from tests.s3_server import BUCKET, S3Server, free_port


@pytest.mark.slow
def test_start_twice_and_after_a_kill_serves_the_same_data_with_the_same_keys(own_s3_server: S3Server) -> None:
    server = own_s3_server
    assert server.process
    pid = server.process.pid
    assert "runs already" in server.start().stderr
    assert "runs already" in server.call("start").stderr
    assert server.process.pid == pid
    secret = server.credentials.developer.secret_access_key
    server.client().put_object(Bucket=BUCKET, Key="kept", Body=b"kept")
    assert (server.project.root / ".dvc" / "config.local").stat().st_mode & 0o077 == 0
    assert (server.project.root / ".s3" / "identities.json").stat().st_mode & 0o077 == 0

    other = server.call("start", "--port", str(free_port()), check=False)
    assert other.returncode == 1
    assert f"error: the server runs already, on port {server.port}" in other.stderr

    assert "stopped" in server.call("stop").stderr
    assert not psutil.pid_exists(pid)
    assert "not running" in server.call("stop").stderr
    server.start()
    assert server.credentials.developer.secret_access_key == secret
    assert server.client().get_object(Bucket=BUCKET, Key="kept")["Body"].read() == b"kept"

    server.kill()
    assert "not running" in server.call("stop").stderr
    assert "started" in server.start().stderr
    assert server.client().get_object(Bucket=BUCKET, Key="kept")["Body"].read() == b"kept"
    assert server.project.run("git", "status", "--short").stdout == ""


@pytest.mark.parametrize("offset", [0, 2, 10_000])
def test_start_on_a_port_in_use_names_it(offset: int, project_template: Project, tmp_path: Path) -> None:
    server = S3Server(project_template.clone(tmp_path / "project"), free_port())
    with socket.create_server(("127.0.0.1", server.port + offset)):
        refused = server.call("start", "--port", str(server.port), check=False)
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()  # a server of another checkout that runs is named behind it
    assert line.startswith(
        f"error: port {server.port + offset} is taken by another program; choose other ports with "
        f"`make s3 PORT={server.port + 100}` (the server needs PORT to PORT+4, and the same + 10000)"
    )
    assert server.process is None


def test_find_ignores_processes_that_are_not_the_server(tmp_path: Path) -> None:
    data = tmp_path / "data"
    weed = shutil.which("weed", path=str(Path(sys.executable).parent))
    assert weed
    for command in (
        [sys.executable, "-c", "input()", "mini", f"-dir={data}"],  # not weed
        [weed, "version"],
    ):
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as other:
            assert find(data) is None
            other.communicate(b"\n")
            assert other.returncode == 0


def test_terminate_kills_a_process_that_ignores_sigterm() -> None:
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", stubborn], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline()
        terminate(psutil.Process(process.pid), timeout=0.5)
        assert not psutil.pid_exists(process.pid)


def test_start_with_source_serves_the_file_that_make_reviews_imports(s3_server: S3Server) -> None:
    server = s3_server
    csv = server.project.root / "data" / "raw" / "sample.csv"
    stderr = server.call("start", "--source", str(csv)).stderr
    assert "`make reviews` downloads it" in stderr
    source = "remote://reviews-source/womens_clothing_ecommerce_reviews.csv"
    server.project.run("dvc", "import-url", "--force", source, "data/raw/reviews.csv")
    assert (server.project.root / "data" / "raw" / "reviews.csv").read_bytes() == csv.read_bytes()
    assert "data/raw/reviews.csv\n" not in server.project.run("git", "ls-files", "-o", "--exclude-standard").stdout
    absent = server.call("start", "--source", "absent.csv", check=False)
    assert absent.returncode == 1
    assert "error: absent.csv: no such file" in absent.stderr


def test_full_disk_is_refused_with_the_space_that_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(ServerError, match=r"0 MiB free, at least 512 MiB are needed"):
        check_free_space(tmp_path)
    with pytest.raises(MachineError, match=r"0 MiB free, at least 1024 MiB"):
        check_cache_space(tmp_path, 1000)


@pytest.mark.parametrize(
    ("seconds", "status", "words"),
    [(0, "ok", "within 60 s"), (-300, "note", "300 s behind"), (2000, "FAIL", "2000 s ahead of")],
)
def test_clock_skew_is_judged_by_its_size(seconds: int, status: Status, words: str) -> None:
    server = datetime(2026, 1, 1, tzinfo=UTC)
    actual, text = check_skew(server, server + timedelta(seconds=seconds))
    assert actual == status
    assert words in text
