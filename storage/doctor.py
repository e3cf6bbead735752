"""Can this machine work with the pipeline and its S3 remote? One line a check: ok, note, or FAIL and what to do.

    python -m storage.doctor        what `make doctor` does

Signs in as DVC does, then lists, writes, reads back and deletes one small object. Shows the access key id and never a
secret. Exit status 1 when something that the pipeline needs is broken; keys that may read but not write are a note.
"""

import argparse
import sys
from itertools import chain
from pathlib import Path

from sentiment.common.command import run_main
from sentiment.storage.s3 import STORAGE, Remote
from storage.machine_checks import machine_checks
from storage.remote_checks import remote_checks


def main() -> int:
    """Run every check; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="params (default: %(default)s)")
    args = parser.parse_args()

    n_failed = 0
    for result in chain(remote_checks(Remote.read(STORAGE)), machine_checks(args.params)):
        sys.stdout.write(f"{result}\n")
        sys.stdout.flush()  # some checks take seconds
        n_failed += result.status == "FAIL"
    return min(n_failed, 1)


if __name__ == "__main__":
    run_main(main)
