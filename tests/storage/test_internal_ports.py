"""Another local user reads neither keys nor objects through the server's internal ports, sockets or files."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.s3_server import BUCKET, S3Server
from tools.s3_server import SERVICES, ports_from

NOBODY = 65_534
CONTENT = b"an object that only its owner may read"
KEY = "private/object"


@pytest.fixture(scope="module")
def weed() -> Iterator[str]:
    """SeaweedFS' command where every user can run it."""
    source = shutil.which("weed", path=str(Path(sys.executable).parent))
    assert source
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield shutil.copy(source, folder)


@pytest.fixture
def server_with_object(s3_server: S3Server) -> S3Server:
    s3_server.client().put_object(Bucket=BUCKET, Key=KEY, Body=CONTENT)
    return s3_server


def run_as_other_user(command: list[str], timeout: int, stdin: str = "") -> str:
    """Run a command as the user nobody (as this user without this server's files, unless root); return its output."""
    other = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.getuid() == 0 else []
    limited = ["timeout", str(timeout), *other, *command]
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    done = subprocess.run(limited, cwd="/", env=environment, input=stdin.encode(), capture_output=True, timeout=60)
    return (done.stdout + done.stderr).decode(errors="replace")


def shell_command(weed: str, port: int) -> list[str]:
    return [weed, "shell", f"-master=127.0.0.1:{port + 1}", f"-filer=127.0.0.1:{port + 3}"]


@pytest.mark.slow
def test_weed_shell_of_another_user_gets_no_key_and_the_owner_gets_them(
    weed: str, server_with_object: S3Server
) -> None:
    server = server_with_object
    keys = [server.credentials.developer, server.credentials.reader]
    script = f"s3.configure\nfs.cat /buckets/{BUCKET}/{KEY}\n"
    # with the certificates in its working folder the same command works: so the attack itself is sound
    start = time.monotonic()
    own = subprocess.run(
        shell_command(weed, server.port), cwd=server.folder, input=script.encode(), capture_output=True, timeout=60
    )
    assert all(key.secret_access_key in own.stdout.decode() for key in keys)

    # another user's shell waits for the master until it is ended
    limit = 4 + 4 * round(time.monotonic() - start)
    output = run_as_other_user(shell_command(weed, server.port), limit, script)
    for key in keys:
        assert key.secret_access_key not in output
        assert key.access_key_id not in output
    assert CONTENT.decode() not in output


def test_http_ports_give_no_object_to_another_user(server_with_object: S3Server) -> None:
    paths = ["", f"buckets/{BUCKET}/{KEY}", f"{BUCKET}/{KEY}", "etc/iam/identity.json", "dir/assign", "vol/list"]
    paths += [f"{volume},{file:02x}00000000" for volume in range(1, 4) for file in range(1, 4)]
    first = server_with_object.port
    urls = [f"http://127.0.0.1:{port}/{path}" for port in range(first, first + len(SERVICES)) for path in paths]
    show = "-w\\n%{url} %{http_code}\\n"
    output = run_as_other_user(["curl", "-s", "-m", "5", show, *urls], timeout=50)
    assert CONTENT.decode() not in output
    answers = [line.rsplit(" ", 1) for line in output.splitlines() if line.startswith("http://127.0.0.1")]
    assert len(answers) == len(urls)
    # S3's list of the buckets that may be read without keys, and the master's status page
    open_urls = {f"http://127.0.0.1:{first}/", f"http://127.0.0.1:{first + 1}/"}
    assert {url for url, code in answers if code.startswith("2")} <= open_urls
    assert f"<Name>{BUCKET}</Name>" not in output


def test_unix_sockets_and_files_belong_to_the_owner_alone(server_with_object: S3Server) -> None:
    server = server_with_object
    ports = ports_from(server.port)
    sockets = [path for path in Path("/tmp").glob("seaweedfs-*.sock") if int(path.stem.rsplit("-")[-1]) in ports]
    assert sockets
    for path in [*sockets, server.folder, server.folder / "data"]:
        assert path.stat().st_mode & 0o077 == 0, path
    secrets = [server.folder / name for name in ("identities.json", "security.json", "key.pem", "certificate.pem")]
    for path in secrets:
        assert path.stat().st_mode & 0o077 == 0, path
