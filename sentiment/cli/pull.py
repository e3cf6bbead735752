"""Download the outputs of the pipeline from the DVC remote; where that fails, say why.

    sentiment pull            what `make pull` does: `dvc pull`, and the cause of a failure
    sentiment pull -- -j 2    arguments behind `--` are passed to `dvc pull`

Where the remote cannot be read, `sentiment doctor` says why.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sentiment pull`."""
    parser.add_argument("dvc_arguments", nargs="*", metavar="ARGUMENT", help="for `dvc pull`, behind `--`")


def main(args: argparse.Namespace) -> int:
    """Pull; return the exit status."""
    from sentiment.storage.pull import pull  # DVC and boto3 take a second

    return pull(args.dvc_arguments)
