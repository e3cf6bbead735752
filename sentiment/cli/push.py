"""Upload the outputs of the pipeline and of its earlier runs to the DVC remote.

    sentiment push                what `make push` does: `dvc push --run-cache`, and the outputs of earlier runs
    sentiment push -r backup      to another remote than the default one
    sentiment push && git push    the commit whose outputs everyone can then pull

Where the remote cannot be written, `sentiment doctor` says why.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sentiment push`."""
    parser.add_argument("-r", "--remote", metavar="NAME", help="of DVC (default: the project's default remote)")
    parser.add_argument("-j", "--jobs", type=int, help="connections (default: as many as DVC takes)")


def main(args: argparse.Namespace) -> int:
    """Push; return the exit status."""
    from sentiment.storage.push import push  # DVC and boto3 take a second
    from sentiment.storage.s3 import Remote

    return push(Remote.read(args.remote) if args.remote else Remote.read_default(), args.jobs)
