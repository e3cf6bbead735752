"""A real S3 server (SeaweedFS) on this machine, for laptops, tests and CI.

    python -m storage.server start                      what `make s3` does
    python -m storage.server start --source file.csv    also serve a CSV file as the public reviews
    python -m storage.server connect ../other-clone     what `make s3 USE=../other-clone` does: use its server from here
    python -m storage.server share                      what `make s3-share` does: print how a colleague may read
    python -m storage.server stop                       what `make s3-stop` does

`start` listens on loopback only, creates the bucket of the DVC remote, and writes endpoint and keys into
.dvc/config.local, which git ignores. The data stays in .s3/ and is there again after a restart. `stop` leaves data and
settings alone. Both are safe to call twice.
"""

import argparse
import logging
import shutil
import subprocess
from pathlib import Path

from sentiment.common.command import run_main
from sentiment.storage.s3 import REVIEWS_SOURCE, STORAGE, Remote
from storage.connect import connect, endpoint_of, other_server_hint, point_dvc_at, share
from storage.credentials import Credentials
from storage.internal_ports import CONFIG_NAME, write_security_config
from storage.private_files import make_private_folder
from storage.process import ServerError, check_ports, command, find, launch, port_of, terminate
from storage.readiness import make_bucket, wait_until_ready
from storage.reviews import serve_reviews

log = logging.getLogger(__name__)

PORT = 8333  # SeaweedFS's own default for S3
# bytes; SeaweedFS refuses writes when its disk is about full, and reserves 128 MiB for each volume
MIN_FREE_BYTES = 512 * 1024**2


def start(folder: Path, requested_port: int | None) -> None:
    """Start the server unless it runs, create the bucket, and write both into DVC's local configuration.

    Raises:
        ServerError: a port is taken, the disk is full, or the server did not come up.
    """
    storage, source = Remote.read(STORAGE), Remote.read(REVIEWS_SOURCE)
    running = find(folder / "data")
    port = port_of(running) if running else requested_port or PORT
    if requested_port not in (None, port):
        raise ServerError(f"the server runs already, on port {port}; `make s3-stop` first, or leave PORT out")
    make_private_folder(folder)
    make_private_folder(folder / "data")
    credentials = Credentials.load_or_create(folder / "identities.json", source.bucket)
    check_free_space(folder)
    process = None if running else _launch(folder, port)
    remote = Remote(STORAGE, storage.bucket, storage.prefix, endpoint_of(port, credentials.developer))
    client = remote.client()
    wait_until_ready(client, process, folder / "log")
    make_bucket(client, storage.bucket)
    written = point_dvc_at(port, credentials.developer)
    log.info("s3: %s on %s, data in %s", "runs already" if running else "started", remote.endpoint, folder)
    log.info("s3: bucket %s, access key id %s", storage.bucket, credentials.developer.access_key_id)
    log.info("s3: endpoint and keys are in %s; `dvc push` and `dvc pull` now go to this server", written)
    if (folder / CONFIG_NAME).exists():
        log.info("s3: other users of this machine can see its status pages (bucket names, sizes), not keys or objects")
    else:
        log.warning("s3: its internal ports are open to every local user; `make s3-stop`, then `make s3` closes them")
    if hint := other_server_hint(folder / "data", port):
        log.info("s3: %s", hint)


def _launch(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Start the server; raises ServerError when a port is taken."""
    try:
        check_ports(port)
    except ServerError as error:
        hint = other_server_hint(folder / "data", port)
        raise ServerError(f"{error}; {hint}" if hint else str(error)) from None
    write_security_config(folder)
    return launch(command(folder / "data", folder / "identities.json", port), folder / "log")


def check_free_space(folder: Path) -> None:
    """Raise ServerError when the disk of `folder` is about full."""
    free = shutil.disk_usage(folder).free
    if free < MIN_FREE_BYTES:
        raise ServerError(f"{folder}: {free // 1024**2} MiB free, at least {MIN_FREE_BYTES // 1024**2} MiB are needed")


def stop(folder: Path) -> None:
    """Terminate the server of `folder`, and nothing else."""
    process = find(folder / "data")
    if process is None:
        log.info("s3: not running")
        return
    port = port_of(process)
    terminate(process)
    log.info("s3: stopped (port %d); the data stays in %s, `make s3` serves it again", port, folder)


def main() -> None:
    """Read the arguments, then start, connect, share or stop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("start", "connect", "share", "stop"))
    parser.add_argument("checkout", nargs="?", type=Path, help="for connect: another checkout, whose server runs")
    parser.add_argument("--folder", type=Path, default=Path(".s3"), help="data, keys and log (default: %(default)s)")
    parser.add_argument("--port", type=int, help=f"of S3 (default: {PORT}, or where it runs already)")
    parser.add_argument("--source", type=Path, metavar="CSV", help="a file to serve as the public reviews")
    args = parser.parse_args()
    if (args.action == "connect") != (args.checkout is not None):
        parser.error("connect takes the folder of another checkout, the other actions take none")

    if args.action == "connect":
        connect(args.checkout / args.folder)
    elif args.action == "share":
        share(args.folder)
    elif args.action == "stop":
        stop(args.folder)
    else:
        start(args.folder, args.port)
        if args.source:
            serve_reviews(args.source)


if __name__ == "__main__":
    run_main(main)
