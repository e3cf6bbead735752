"""Download the outputs of the pipeline from the DVC remote; where that fails, say why.

    sentiment pull              what `make pull` does: `dvc pull`, and the cause of a failure
    sentiment pull -r backup    from another remote than the default one

Where the remote cannot be read, `sentiment doctor` says why.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sentiment pull`."""
    parser.add_argument("-r", "--remote", metavar="NAME", help="of DVC (default: the project's default remote)")
    parser.add_argument("-j", "--jobs", type=int, help="connections (default: as many as DVC takes)")


def main(args: argparse.Namespace) -> int:
    """Pull; return the exit status."""
    from sentiment.storage.pull import pull  # DVC and boto3 take a second
    from sentiment.storage.s3 import Remote

    return pull(Remote.read(args.remote) if args.remote else Remote.read_default(), args.jobs)
