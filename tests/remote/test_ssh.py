"""An experiment on another host: Debian's OpenSSH server on loopback, with keys and configuration of its own."""

import getpass
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sentiment.common.errors import ParamsError
from sentiment.remote.backends import SSH_VARIABLE, ShellBackend, shell_path
from tests.remote.conftest import EVALUATE_AGAIN, RemoteProject
from tests.s3_server import free_port, wait_for

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


@dataclass(frozen=True)
class SshHost:
    """A server on loopback, and the client's configuration that reaches it as `there`."""

    config: Path
    cache: Path


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def ssh_host(remote_project: RemoteProject, tmp_path: Path) -> Iterator[SshHost]:
    """A host that has its own credentials for the storage, as an instance has its role."""
    if not Path(SSHD).exists():
        pytest.skip("no OpenSSH server (Debian: openssh-server)")
    folder = tmp_path / "ssh"
    folder.mkdir(mode=0o700)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    shutil.copy(folder / "user.pub", folder / "authorized_keys")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    port, cache = free_port(), tmp_path / "cache"
    own = {
        **remote_project.server.environment(),
        "SENTIMENT_REMOTE_CACHE": str(cache),
        "DVC_SITE_CACHE_DIR": str(tmp_path / "site"),
        "PATH": os.environ["PATH"],
    }
    own.pop("AWS_ENDPOINT_URL_S3")
    variables = " ".join(f'"{name}={value}"' for name, value in own.items())
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile {folder}/pid\nUsePAM no\n"
        f"StrictModes no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nSetEnv {variables}\n"
    )
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    (folder / "config").write_text(
        f"Host there\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n  IdentityFile {folder}/user\n"
        f"  IdentitiesOnly yes\n  UserKnownHostsFile {folder}/known_hosts\n"
    )
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log)
    try:
        wait_for(lambda: answers(port), 10)
        yield SshHost(folder / "config", cache)
    finally:
        server.terminate()
        server.wait(10)


@pytest.mark.slow
@pytest.mark.s3
def test_an_experiment_on_a_host_comes_back(
    remote_project: RemoteProject, ssh_host: SshHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SSH_VARIABLE, f"ssh -F {ssh_host.config}")
    home = pwd.getpwuid(os.getuid()).pw_dir
    python = ("--python", f"~/{os.path.relpath(sys.executable, home)}")
    done = remote_project.remote("run", "--on", "ssh", "there", *python, "-n", "there", "--", *EVALUATE_AGAIN)
    assert re.search(rf"process \d+ in {ssh_host.cache}/jobs/\S+ on ", done.stderr)
    assert "brought there" in done.stderr
    job_id = done.stderr.split()[1].rstrip(":")
    assert (ssh_host.cache / "jobs" / job_id / "log.txt").is_file()
    assert re.search(rf"{job_id} +finished +ssh there", remote_project.remote("list").stdout)

    unknown = remote_project.remote("run", "--on", "ssh", "127.0.0.1", check=False)
    assert unknown.returncode == 1
    assert unknown.stderr.startswith("error: ssh 127.0.0.1: ")


@pytest.mark.parametrize("host", ["-oProxyCommand=id", "a b", "$(id)", "", "x;id"])
def test_an_invalid_host_name_does_not_reach_a_shell(host: str) -> None:
    with pytest.raises(ParamsError, match="is not a host"):
        ShellBackend(host, None)


@pytest.mark.parametrize("path", ["~/venv/bin/python", "/opt/a b/python", "python3.12"])
def test_a_path_there_is_one_word_and_its_tilde_is_the_home_folder(path: str) -> None:
    command = f"HOME=/home/her; printf %s {shell_path(path)}"
    shown = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, timeout=10).stdout
    assert shown == path.replace("~", "/home/her")
