"""A server that ends while it starts: the error says why, in one line."""

import socket
from pathlib import Path

import pytest

from storage.process import GRPC_PORT_OFFSET, N_PORTS, ServerError
from storage.readiness import cause_of_exit
from storage.server import start, stop
from tests.project import Project
from tests.s3_server import free_port

FIRST_OUTGOING_PORT = 32_768  # Linux's default; macOS has 49,152

FATAL_LOG = """
  Starting SeaweedFS Mini ...
  Volume       starting
F1127 18:14:22.137805 volume.go:629 Volume server: listen tcp 127.0.0.1:33350: bind: address already in use
goroutine 142 [running]:
github.com/seaweedfs/seaweedfs/weed/glog.stacks(0x0)
	github.com/seaweedfs/seaweedfs/weed/glog/glog.go:832 +0x85
"""


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


@pytest.mark.s3
def test_a_port_taken_after_the_check_is_named(
    project_template: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project_template.clone(tmp_path / "project").root)
    monkeypatch.setattr("storage.server.check_ports", lambda port: None)  # all were free then
    folder, port = Path(".s3"), free_port()
    try:
        with socket.create_server(("127.0.0.1", port + 2)), pytest.raises(ServerError) as error:
            start(folder, port)
    finally:
        stop(folder)
    assert str(error.value).startswith(
        f"the server exited at once: Port allocation failed: port {port + 2} for Volume "
    )


def test_no_port_is_one_that_the_system_gives_to_outgoing_connections() -> None:
    """Else a test that opens connections takes it between the check and the start."""
    assert all(free_port() + GRPC_PORT_OFFSET + N_PORTS <= FIRST_OUTGOING_PORT for _ in range(200))
