"""Download the outputs of the pipeline from the DVC remote; where that fails, say why.

    sentiment pull              what `make pull` does: `dvc pull`, and the cause of a failure
    sentiment pull -r backup    from another remote than the default one

Where the remote cannot be read, `sentiment doctor` says why.
"""

import argparse

from sentiment.cli.arguments import add_remote_arguments as add_arguments

__all__ = ["add_arguments", "main"]


def main(args: argparse.Namespace) -> int:
    """Pull; return the exit status."""
    from sentiment.storage.s3 import Remote
    from sentiment.storage.transfer import pull  # DVC and boto3 take a second

    return pull(Remote.read(args.remote), args.jobs)
