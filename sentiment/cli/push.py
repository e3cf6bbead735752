"""Upload the outputs of the pipeline and of its earlier runs to the DVC remote.

    sentiment push            what `make push` does: `dvc push --run-cache`, and the outputs of earlier runs
    sentiment push && git push    the commit whose outputs everyone can then pull

Where the remote cannot be written, `sentiment doctor` says why.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sentiment push`: there are none."""


def main(args: argparse.Namespace) -> int:
    """Push; return the exit status."""
    from sentiment.storage.push import push  # DVC and boto3 take a second

    return push()
