"""A real S3 server (SeaweedFS) on this machine, for laptops, tests and CI.

    python -m storage.server start                      what `make s3` does
    python -m storage.server start --source file.csv    also serve a CSV file as the public reviews
    python -m storage.server stop                       what `make s3-stop` does

`start` listens on loopback only, makes the bucket of the DVC remote, and writes endpoint and keys into
.dvc/config.local, which git ignores. The data stays in .s3/ and is there again after a restart. `stop` leaves data and
settings alone. Both are safe to call twice.
"""

import argparse
import logging
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from tqdm import tqdm

from sentiment.common.command import run_main
from sentiment.common.errors import InputError
from storage.faults import explain
from storage.identities import Identities
from storage.process import HOST, ServerError, check_ports, command, end, find, launch, port_of
from storage.remote import REVIEWS_SOURCE, STORAGE, Remote, write_local_settings

log = logging.getLogger(__name__)

PORT = 8333
REVIEWS = "womens_clothing_ecommerce_reviews.csv"  # the name that `make reviews` asks for
ROOM = 512 * 1024**2  # bytes; the server takes no more writes when its disk is about full


def start(folder: Path, wanted: int | None) -> None:
    """Start the server unless it runs, make the bucket, and tell DVC about both.

    Raises:
        ServerError: a port is taken, the disk is full, or the server did not come up.
    """
    storage, source = Remote.read(STORAGE), Remote.read(REVIEWS_SOURCE)
    running = find(folder / "data")
    port = port_of(running) if running else wanted or PORT
    if wanted not in (None, port):
        raise ServerError(f"the server runs already, on port {port}; `make s3-stop` first, or leave PORT out")
    (folder / "data").mkdir(parents=True, exist_ok=True)
    identities = Identities.load_or_create(folder / "identities.json", source.bucket)
    check_room(folder)
    started = None
    if not running:
        check_ports(port)
        line = command(folder / "data", folder / "identities.json", port)
        started = launch(line, folder / "log")
    keys = {
        "access_key_id": identities.developer.access_key_id,
        "secret_access_key": identities.developer.secret_access_key,
    }
    where = {"endpointurl": f"http://{HOST}:{port}", "region": "us-east-1"}
    client = Remote(STORAGE, storage.bucket, storage.prefix, where | keys).client()
    wait_until_up(client, started, folder / "log")
    make_bucket(client, storage.bucket)
    written = write_local_settings({STORAGE: where | keys})
    log.info("s3: %s on %s, data in %s", "started" if started else "runs already", where["endpointurl"], folder)
    log.info("s3: bucket %s, access key id %s", storage.bucket, keys["access_key_id"])
    log.info("s3: endpoint and keys are in %s; `dvc push` and `dvc pull` now go to this server", written)


def check_room(folder: Path) -> None:
    """Raise ServerError when the disk of `folder` is about full."""
    free = shutil.disk_usage(folder).free
    if free < ROOM:
        raise ServerError(f"{folder}: {free // 1024**2} MiB free, at least {ROOM // 1024**2} MiB are needed")


def wait_until_up(client: Any, started: subprocess.Popen[bytes] | None, server_log: Path, patience: float = 60) -> None:
    """Return when the server gives out what it holds; raise ServerError when it ended or does not."""
    end_of_patience = time.monotonic() + patience
    while True:
        try:
            read_each_bucket(client)
        except (BotoCoreError, ClientError) as error:
            if started and started.poll() is not None:
                lines = server_log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
                raise ServerError(f"the server ended at once: {lines[-1].strip()} (all of it: {server_log})") from None
            if time.monotonic() > end_of_patience:
                raise ServerError(
                    f"the server does not answer: {explain(error)}; `make s3-stop`, then `make s3`"
                ) from None
            time.sleep(0.2)
        else:
            return


def read_each_bucket(client: Any) -> None:
    """Read from a first object: for seconds after a restart the server may list objects and not find their bytes."""
    for bucket in client.list_buckets()["Buckets"]:
        for found in client.list_objects_v2(Bucket=bucket["Name"], MaxKeys=1).get("Contents", []):
            with client.get_object(Bucket=bucket["Name"], Key=found["Key"])["Body"] as body:
                body.read(1)


def make_bucket(client: Any, bucket: str) -> None:
    """Make a bucket unless it is there."""
    if bucket not in [found["Name"] for found in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=bucket)


def serve_reviews(csv: Path) -> None:
    """Upload a CSV file to where `make reviews` looks for the public ones, and point DVC there.

    Raises:
        InputError: there is no such file.
    """
    if not csv.is_file():
        raise InputError(f"{csv}: no such file; SOURCE names a CSV file of reviews")
    storage, source = Remote.read(STORAGE), Remote.read(REVIEWS_SOURCE)
    client = storage.client()
    make_bucket(client, source.bucket)
    with tqdm(desc=f"upload {csv.name}", total=csv.stat().st_size, unit="B", unit_scale=True, disable=None) as bar:
        client.upload_file(str(csv), source.bucket, source.key(REVIEWS), Callback=bar.update)
    write_local_settings({REVIEWS_SOURCE: {name: str(storage.settings[name]) for name in ("endpointurl", "region")}})
    log.info("s3: %s is served as %s/%s, readable without keys", csv, source.url, REVIEWS)
    log.info("s3: `make reviews` brings it")


def stop(folder: Path) -> None:
    """End the server of `folder`, and nothing else."""
    process = find(folder / "data")
    if process is None:
        log.info("s3: not running")
        return
    port = port_of(process)
    end(process)
    log.info("s3: stopped (port %d); the data stays in %s, `make s3` serves it again", port, folder)


def main() -> None:
    """Read the arguments, then start or stop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("start", "stop"))
    parser.add_argument("--folder", type=Path, default=Path(".s3"), help="data, keys and log (default: %(default)s)")
    parser.add_argument("--port", type=int, help=f"of S3 (default: {PORT}, or where it runs already)")
    parser.add_argument("--source", type=Path, metavar="CSV", help="a file to serve as the public reviews")
    args = parser.parse_args()

    if args.action == "stop":
        stop(args.folder)
        return
    start(args.folder, args.port)
    if args.source:
        serve_reviews(args.source)


if __name__ == "__main__":
    run_main(main)
