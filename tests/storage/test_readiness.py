"""A server that ends while it starts: the error says why, in one line."""

import socket
from pathlib import Path

import pytest

from sentiment.tracking.remote import Remote
from storage.connect import endpoint_of
from storage.credentials import Credentials
from storage.internal_ports import write_security_config
from storage.private_files import make_private_folder
from storage.process import GRPC_PORT_OFFSET, N_PORTS, ServerError, command, launch
from storage.readiness import cause_of_exit, wait_until_ready
from tests.s3_server import BUCKET, PUBLIC_BUCKET, free_port

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
def test_a_port_taken_after_the_check_is_named(tmp_path: Path) -> None:
    port, folder = free_port(), tmp_path / "server"
    make_private_folder(folder)
    make_private_folder(folder / "data")
    credentials = Credentials.load_or_create(folder / "identities.json", PUBLIC_BUCKET)
    write_security_config(folder)
    client = Remote("storage", BUCKET, "", endpoint_of(port, credentials.developer)).client()
    with socket.create_server(("127.0.0.1", port + 2)):
        process = launch(command(folder / "data", folder / "identities.json", port), folder / "log")
        try:
            with pytest.raises(ServerError) as error:
                wait_until_ready(client, process, folder / "log")
        finally:
            process.kill()
            process.wait(10)
    assert str(error.value).startswith(
        f"the server exited at once: Port allocation failed: port {port + 2} for Volume "
    )


def test_no_port_is_one_that_the_system_gives_to_outgoing_connections() -> None:
    """Else a test that opens connections takes it between the check and the start."""
    settings = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(settings.read_text().split()[0]) if settings.exists() else 49_152  # of macOS
    assert all(free_port() + GRPC_PORT_OFFSET + N_PORTS <= first for _ in range(200))
