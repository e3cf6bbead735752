"""`make s3` and `make s3-stop`: safe to call twice, clear about what is in the way, exact about what they terminate."""

import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from dvc.config import Config

from tests.project import Project
from tests.s3_server import BUCKET, S3Server, free_port
from tools.s3_server import GRPC_PORT_OFFSET, SERVICES, ServerError, cause_of_exit, find, start, stop, terminate

FIRST_OUTGOING_PORT = 32_768  # Linux's default; macOS has 49,152

FATAL_LOG = """
  Starting SeaweedFS Mini ...
  Volume       starting
F1127 18:14:22.137805 volume.go:629 Volume server: listen tcp 127.0.0.1:33350: bind: address already in use
goroutine 142 [running]:
github.com/seaweedfs/seaweedfs/weed/glog.stacks(0x0)
	github.com/seaweedfs/seaweedfs/weed/glog/glog.go:832 +0x85
"""


def local_remotes(project: Project) -> dict[str, dict[str, str]]:
    return dict(Config(str(project.root / ".dvc")).read("local")["remote"])


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

    other = server.call("start", "--port", str(free_port()), check=False)
    assert other.returncode == 1
    assert f"error: the server runs already, on port {server.port}" in other.stderr

    assert sockets_of(server)
    assert "stopped" in server.call("stop").stderr
    assert not psutil.pid_exists(pid)
    assert sockets_of(server) == []
    assert "not running" in server.call("stop").stderr
    server.start()
    assert server.credentials.developer.secret_access_key == secret
    assert server.client().get_object(Bucket=BUCKET, Key="kept")["Body"].read() == b"kept"

    server.kill()
    assert "not running" in server.call("stop").stderr
    assert "started" in server.start().stderr
    assert server.client().get_object(Bucket=BUCKET, Key="kept")["Body"].read() == b"kept"
    assert server.project.run("git", "status", "--short").stdout == ""


def sockets_of(server: S3Server) -> list[Path]:
    """Return the Unix sockets of a server in the system's temporary folder."""
    return [path for path in Path("/tmp").glob("seaweedfs-*.sock") if str(server.port) in path.name]


def test_a_port_out_of_range_is_named(project_template: Project, tmp_path: Path) -> None:
    server = S3Server(project_template.clone(tmp_path / "project"), free_port())
    refused = server.call("start", "--port", "0", check=False)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert refused.stderr.startswith("error: port 0 is out of range; expected 1024 to ")


@pytest.mark.parametrize("offset", [0, 2, 10_000])
def test_start_on_a_port_in_use_names_it(offset: int, project_template: Project, tmp_path: Path) -> None:
    server = S3Server(project_template.clone(tmp_path / "project"), free_port())
    with socket.create_server(("127.0.0.1", server.port + offset)):
        refused = server.call("start", "--port", str(server.port), check=False)
    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [
        f"error: port {server.port + offset} is taken by another program; choose other ports with "
        f"`make s3 PORT={server.port + 100}` (the server needs PORT to PORT+4, and the same + 10000); where it is the "
        "server of another clone, copy .dvc/config.local from there"
    ]
    assert server.process is None


def test_a_port_taken_after_the_check_is_named(
    project_template: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project_template.clone(tmp_path / "project").root)
    monkeypatch.setattr("tools.s3_server.check_ports", lambda port: None)  # all were free then
    folder, port = Path(".s3"), free_port()
    try:
        with socket.create_server(("127.0.0.1", port + 2)), pytest.raises(ServerError) as error:
            start(folder, port)
    finally:
        stop(folder)
    assert str(error.value).startswith(
        f"the server exited at once: Port allocation failed: port {port + 2} for Volume "
    )


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (FATAL_LOG, "Volume server: listen tcp 127.0.0.1:33350: bind: address already in use"),
        ("starting\nE1127 18:24:31.602064 mini.go:1244 Port allocation failed\n", "Port allocation failed"),
        ("starting\n  killed  \n", "killed"),
        ("", "no output"),
    ],
)
def test_the_cause_is_the_fatal_line_and_not_the_stack_trace_behind_it(text: str, cause: str) -> None:
    assert cause_of_exit(text) == cause


def test_no_port_is_one_that_the_system_gives_to_outgoing_connections() -> None:
    """Else a test that opens connections takes it between the check and the start."""
    assert all(free_port() + GRPC_PORT_OFFSET + len(SERVICES) <= FIRST_OUTGOING_PORT for _ in range(200))


def test_find_ignores_processes_that_are_not_the_server(tmp_path: Path) -> None:
    weed = shutil.which("weed", path=str(Path(sys.executable).parent))
    assert weed
    for command in (
        [sys.executable, "-c", "input()", "mini", f"-dir={tmp_path / 'data'}"],  # not weed
        [weed, "version"],
    ):
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as other:
            assert find(tmp_path) is None
            other.communicate(b"\n", timeout=60)
            assert other.returncode == 0


def test_terminate_kills_a_process_that_ignores_sigterm() -> None:
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", stubborn], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline()
        terminate(psutil.Process(process.pid), timeout=0.5)
        assert not psutil.pid_exists(process.pid)


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_second_clone_uses_the_server_with_the_settings_of_the_first(
    s3_server: S3Server, pushed_project: Project, tmp_path: Path
) -> None:
    clone = pushed_project.clone(tmp_path / "clone")
    clone.run("cp", str(s3_server.project.root / ".dvc/config.local"), ".dvc/")
    clone.run("dvc", "remote", "modify", "--local", "storage", "url", "s3://sentiment-dvc/pushed")
    clone.run("dvc", "pull")
    assert (clone.root / "models/classifier/config.json").is_file()


@pytest.mark.slow
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
    push = clone.run("sentiment", "push", check=False)
    assert push.returncode != 0
    assert "these keys can pull but not push" in push.stderr
