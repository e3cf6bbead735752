"""Pull outputs, and where that fails name the cause, the stage that makes the output, and how to repair it.

DVC itself hashes what it downloads (`verify true`), drops wrong bytes and names the output that is missing; it does
not say why, nor which stage makes the output. This asks the remote about exactly the outputs that DVC's cache lacks.
"""

import logging
import subprocess
import sys
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from sentiment.storage.errors import explain
from sentiment.storage.outputs import DamagedObject, damaged_objects, dvc_cache, is_cached, read_outputs
from sentiment.storage.s3 import Remote

log = logging.getLogger(__name__)


def pull(remote: Remote, jobs: int | None) -> int:
    """Run `dvc pull` with `jobs` connections; where it fails, log the causes. Returns the exit status of DVC."""
    command = [sys.executable, "-m", "dvc", "pull", "--remote", remote.name]
    status = subprocess.run([*command, *([] if jobs is None else ["--jobs", str(jobs)])]).returncode
    if status:
        log_causes(remote)
    return status


def log_causes(remote: Remote) -> None:
    """Log why `dvc pull` failed, at least one line."""
    n_damaged = 0
    try:
        client = remote.client()
        client.list_objects_v2(Bucket=remote.bucket, Prefix=remote.key(""), MaxKeys=1)
        for output in read_outputs(Path("dvc.lock")):
            if not is_cached(dvc_cache(), output.md5):
                for damaged in damaged_objects(remote, client, output):
                    n_damaged += 1
                    log.error("pull: %s; %s", damaged, repair(damaged))
    except (BotoCoreError, ClientError) as error:
        log.error("pull: %s at %s: %s", remote.url, remote.endpoint, explain(error))
        return
    if not n_damaged:
        log.error("pull: %s holds every output of dvc.lock; DVC's message above names the cause", remote.url)


def repair(damaged: DamagedObject) -> str:
    """Return the commands that repair an object; DVC never overwrites one, so wrong bytes are deleted first."""
    commands = f"`dvc repro {damaged.output.stage}`, then `dvc push`"
    return commands if damaged.missing else f"`aws s3 rm {damaged.url}`, {commands}"
