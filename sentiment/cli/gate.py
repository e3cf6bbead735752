"""Decide whether a revision may take the place of what is in production.

    sentiment gate                              HEAD in the place of sentiment@production
    sentiment gate main wider                   an experiment in the place of main
    make promote VERSION=v1.1.0                 the gate, make verify, and the tags that put HEAD into production

It holds if the encoder was not trained on reviews of val or test, accuracy on val is not significantly worse
(McNemar's exact test), and no kind of behavioral test fails significantly more often (Fisher's exact test, Holm).
Exit status 1 where it does not hold. NAME@STAGE is an artifact of dvc.yaml in a stage of DVC's model registry
(git tags that `gto assign` makes); where nothing is in production yet, only the first condition is tested.
"""

import argparse
import sys

from sentiment.experiments.gate import checks
from sentiment.experiments.revisions import resolve

PRODUCTION = "sentiment@production"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the two revisions."""
    revision = "commit, branch, tag, experiment, workspace, or NAME@STAGE (default: %(default)s)"
    parser.add_argument("current", metavar="A", nargs="?", default=PRODUCTION, help=revision)
    parser.add_argument("candidate", metavar="B", nargs="?", default="HEAD", help=revision)


def main(args: argparse.Namespace) -> int:
    """Write a line for each condition; 1 if one does not hold.

    Raises:
        InputError: a revision that was named does not exist, or lacks the files to decide by.
    """
    current = resolve(args.current)
    if args.current == PRODUCTION and not current.exists():
        sys.stdout.write(f"nothing is in production: no {PRODUCTION}\n")
        found = list(checks(None, resolve(args.candidate)))
    else:
        found = list(checks(current, resolve(args.candidate)))
    for check in found:
        sys.stdout.write(f"{'holds' if check.holds else 'FAILS'}  {check.name}: {check.figures}\n")
    return int(not all(check.holds for check in found))
