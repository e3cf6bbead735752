"""Upload the outputs of the pipeline and of its earlier runs to the DVC remote.

    sentiment push                what `make push` does: `dvc push --run-cache`, and the outputs of earlier runs
    sentiment push -r backup      to another remote than the default one
    sentiment push && git push    the commit whose outputs everyone can then pull

Where the remote cannot be written, `sentiment doctor` says why.
"""

import argparse

from sentiment.cli.arguments import add_remote_arguments as add_arguments

__all__ = ["add_arguments", "main"]


def main(args: argparse.Namespace) -> int:
    """Push; return the exit status."""
    from sentiment.storage.s3 import Remote
    from sentiment.storage.transfer import push  # DVC and boto3 take a second

    return push(Remote.read(args.remote), args.jobs)
