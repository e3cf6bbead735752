"""Points DVC at a local S3 server: the one of this checkout, or one that another checkout started."""

import logging
import sys
from pathlib import Path

from sentiment.storage.s3 import REVIEWS_SOURCE, STORAGE, local_settings, write_local_settings
from storage.credentials import AccessKey, Credentials
from storage.process import HOST, ServerError, find, port_of, servers

log = logging.getLogger(__name__)

REGION = "us-east-1"  # SeaweedFS accepts any; boto3 needs one


def endpoint_of(port: int, key: AccessKey) -> dict[str, str]:
    """Return DVC's settings for a remote on the local server."""
    return {
        "endpointurl": f"http://{HOST}:{port}",
        "region": REGION,
        "access_key_id": key.access_key_id,
        "secret_access_key": key.secret_access_key,
    }


def point_dvc_at(port: int, key: AccessKey) -> Path:
    """Write endpoint and keys into `.dvc/config.local`; return that file.

    The remote of the public reviews moves along when it was on a local server before; any other setting of it stays.
    """
    settings = {STORAGE: endpoint_of(port, key)}
    if str(local_settings(REVIEWS_SOURCE).get("endpointurl", "")).startswith(f"http://{HOST}:"):
        settings[REVIEWS_SOURCE] = {"endpointurl": f"http://{HOST}:{port}"}
    return write_local_settings(settings)


def connect(folder: Path) -> None:
    """Use the server of another checkout, whose `.s3` folder this is, from the checkout in this folder.

    Raises:
        ServerError: no server runs there.
    """
    process = find(folder / "data")
    if process is None:
        raise ServerError(f"{folder}: no server runs there; `make s3` in that checkout starts it")
    key = Credentials.load(folder / "identities.json").developer
    written = point_dvc_at(port_of(process), key)
    log.info("s3: endpoint and keys of the server on port %d are in %s", port_of(process), written)
    log.info("s3: `dvc push` and `dvc pull` now go to that server; `make doctor` checks it")


def share(folder: Path) -> None:
    """Print the commands with which a colleague reads from this server, with the key that cannot write.

    Raises:
        ServerError: the server does not run.
    """
    process = find(folder / "data")
    if process is None:
        raise ServerError("the server does not run; `make s3` starts it")
    reader = Credentials.load(folder / "identities.json").reader
    lines = [
        f"dvc remote modify --local {STORAGE} {name} {value}"
        for name, value in endpoint_of(port_of(process), reader).items()
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    log.info("s3: these commands, run in a colleague's clone, let `dvc pull` read from here; they hold a secret key")
    log.info(
        "s3: the server listens on this machine alone; from another one: ssh -L %d:%s:%d THIS-MACHINE",
        port_of(process),
        HOST,
        port_of(process),
    )


def other_server_hint(data: Path, port: int) -> str:
    """Return how to use a server that runs for another checkout of this user; empty where there is none.

    Args:
        data: the data folder of this checkout's server.
        port: of several servers, the one on this port is named.
    """
    # data folders of other users cannot be read, so that their servers cannot be used like this
    candidates = [
        (port_of(process), folder.parent.parent)
        for folder, process in servers()
        if folder != data.resolve() and (folder.parent / "identities.json").is_file()
    ]
    if not candidates:
        return ""
    other_port, checkout = min(candidates, key=lambda candidate: candidate[0] != port)
    return f'the server of {checkout} runs on port {other_port}; `make s3 USE="{checkout}"` uses it here'
