"""`dvc pull`, and where it fails: which object is at fault, which stage makes it, and how to mend it.

    python -m storage.pull          what `make pull` does
    python -m storage.pull -j 2     arguments go to `dvc pull`

DVC itself hashes what comes back (`verify true`), drops wrong bytes and names the output that it cannot give; it does
not say why, nor which stage makes the output. This asks the remote about exactly the outputs that are not here.
"""

import argparse
import logging
import subprocess
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from sentiment.common.command import run_main
from storage.faults import explain
from storage.outputs import Fault, faults, read_outputs
from storage.remote import STORAGE, Remote

log = logging.getLogger(__name__)


def advice(fault: Fault) -> str:
    """Return the commands that mend a fault; DVC never overwrites an object, so wrong bytes are deleted first."""
    again = f"`dvc repro {fault.output.stage}`, then `dvc push`"
    return again if fault.found == "is missing" else f"`aws s3 rm {fault.url}`, {again}"


def main() -> int:
    """Run `dvc pull`; where it fails, log one line for each object at fault. Returns DVC's exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    _, rest = parser.parse_known_args()

    status = subprocess.run(["dvc", "pull", *rest]).returncode
    if not status:
        return 0
    remote = Remote.read(STORAGE)
    # a folder or file that could not be pulled is not in the workspace: DVC checks out whole outputs only
    absent = [output for output in read_outputs(Path("dvc.lock")) if not Path(output.path).exists()]
    try:
        client = remote.client()
        for output in absent:
            for fault in faults(remote, client, output):
                log.error("pull: %s; %s", fault, advice(fault))
    except (BotoCoreError, ClientError) as error:
        log.error("pull: %s: %s", remote.url, explain(error))
    return status


if __name__ == "__main__":
    run_main(main)
