"""Check whether this machine can work with the S3 remote: one line a check.

    sentiment doctor                  what `make doctor` does, in any folder with a DVC project whose remote is on S3
    sentiment doctor && dvc push      upload if nothing is broken

A line says ok, note, or FAIL and what to do. Exit status 1 when something that is needed is broken; keys that may read
but not write are a note.
"""

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add no arguments."""


def main(args: argparse.Namespace) -> int:
    """Run every check; return the exit status."""
    from sentiment.storage.s3 import Remote
    from sentiment.storage.transfer import remote_checks  # DVC and boto3 take a second

    n_failed = 0
    for result in remote_checks(Remote.read()):
        sys.stdout.write(f"{result}\n")
        n_failed += result.status == "FAIL"
    return min(n_failed, 1)
