"""Check whether this machine can work with the S3 remote and the pipeline: one line a check.

    sentiment doctor                    what `make doctor` does, in any folder with a DVC project whose remote is on S3
    sentiment doctor --params FILE      with other params than params.yaml

A line says ok, note, or FAIL and what to do. Exit status 1 when something that is needed is broken; keys that may read
but not write are a note.
"""

import argparse
import sys
from itertools import chain
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sentiment doctor`."""
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="params (default: %(default)s)")


def main(args: argparse.Namespace) -> int:
    """Run every check; return the exit status."""
    from sentiment.storage.doctor import machine_checks, remote_checks  # DVC and boto3 take a second
    from sentiment.storage.s3 import Remote

    n_failed = 0
    for result in chain(remote_checks(Remote.read_default()), machine_checks(args.params)):
        sys.stdout.write(f"{result}\n")
        sys.stdout.flush()  # some checks take seconds
        n_failed += result.status == "FAIL"
    return min(n_failed, 1)
