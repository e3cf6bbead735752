"""`make s3` and `make s3-stop`: safe to call twice, clear about what is in the way, exact about what they end."""

import shutil
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from storage.machine_checks import MachineError, room
from storage.process import ServerError, end, find
from storage.remote_checks import skew
from storage.server import check_room
from tests.storage.local_server import BUCKET, Server, free_port


def test_twice_and_restarted(server_to_kill):
    server = server_to_kill
    pid = server.process.pid
    assert "runs already" in server.start().stderr
    assert "runs already" in server.call("start").stderr
    assert server.process.pid == pid
    secret = server.identities.developer.secret_access_key
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
    assert server.identities.developer.secret_access_key == secret
    assert server.client().get_object(Bucket=BUCKET, Key="kept")["Body"].read() == b"kept"

    server.kill()
    assert "not running" in server.call("stop").stderr
    assert "started" in server.start().stderr
    assert server.client().get_object(Bucket=BUCKET, Key="kept")["Body"].read() == b"kept"
    assert server.project.run("git", "status", "--short").stdout == ""


@pytest.mark.parametrize("place", [0, 2, 10_000])
def test_a_taken_port(place, project_template, tmp_path):
    server = Server(project_template.clone(tmp_path / "project"), free_port())
    with socket.create_server(("127.0.0.1", server.port + place)):
        refused = server.call("start", "--port", str(server.port), check=False)
    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [
        f"error: port {server.port + place} is taken by another program; choose other ports with "
        f"`make s3 PORT={server.port + 100}` (the server needs PORT to PORT+4, and the same + 10000)"
    ]
    assert server.process is None


def test_another_process_is_never_taken_for_the_server(tmp_path):
    data = tmp_path / "data"
    for line in (
        [sys.executable, "-c", "input()", "mini", f"-dir={data}"],  # not weed
        [shutil.which("weed", path=str(Path(sys.executable).parent)), "version"],
    ):
        with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as other:
            assert find(data) is None
            other.communicate(b"\n")
            assert other.returncode == 0


def test_a_process_that_will_not_end_is_killed():
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", stubborn], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline()
        end(psutil.Process(process.pid), patience=0.5)
        assert not psutil.pid_exists(process.pid)


def test_reviews_are_served_for_the_import(server):
    csv = server.project.root / "data" / "raw" / "sample.csv"
    told = server.call("start", "--source", str(csv)).stderr
    assert "`make reviews` brings it" in told
    source = "remote://reviews-source/womens_clothing_ecommerce_reviews.csv"
    server.project.run("dvc", "import-url", "--force", source, "data/raw/reviews.csv")
    assert (server.project.root / "data" / "raw" / "reviews.csv").read_bytes() == csv.read_bytes()
    assert "data/raw/reviews.csv\n" not in server.project.run("git", "ls-files", "-o", "--exclude-standard").stdout
    absent = server.call("start", "--source", "absent.csv", check=False)
    assert absent.returncode == 1
    assert "error: absent.csv: no such file" in absent.stderr


def test_a_full_disk(tmp_path, monkeypatch):
    full = shutil._ntuple_diskusage(10**12, 10**12 - 1000, 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(ServerError, match=r"0 MiB free, at least 512 MiB are needed"):
        check_room(tmp_path)
    with pytest.raises(MachineError, match=r"0 MiB free; make room"):
        room(tmp_path, 1000)


@pytest.mark.parametrize(
    ("seconds", "status", "says"),
    [(0, "ok", "within 60 s"), (-300, "note", "300 s behind"), (2000, "FAIL", "2000 s ahead of")],
)
def test_the_clock(seconds, status, says):
    server = datetime(2026, 1, 1, tzinfo=UTC)
    found, text = skew(server, server + timedelta(seconds=seconds))
    assert found == status
    assert says in text
