"""Can this machine work with the pipeline and its S3 remote? One line a check: ok, note, or FAIL and what to do.

    python -m storage.doctor        what `make doctor` does

Signs in as DVC does, then lists, writes, reads back and deletes one small object. Shows the access key id and never a
secret. Exit status 1 when something that the pipeline needs is broken.
"""

import argparse
import sys
from itertools import chain
from pathlib import Path

from sentiment.common.command import run_main
from storage.machine_checks import machine_lines
from storage.remote import STORAGE, Remote
from storage.remote_checks import remote_lines


def main() -> int:
    """Do every check; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="settings (default: %(default)s)")
    args = parser.parse_args()

    broken = 0
    for line in chain(remote_lines(Remote.read(STORAGE)), machine_lines(args.params)):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()  # some checks take seconds
        broken += line.status == "FAIL"
    return min(broken, 1)


if __name__ == "__main__":
    run_main(main)
