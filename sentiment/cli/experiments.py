"""Lists the workspace, the current commit and its experiments: accuracy, AUC and the params that differ.

    sentiment experiments                what `make experiments` does; no line is longer than 160 characters
    sentiment experiments | sort -k2     sorted by accuracy

`dvc exp show` has every param and every metric. Where queued and --temp experiments would fail for want of
`prepare.source`, a line on standard error says so.
"""

import argparse
import logging
import sys

from sentiment.experiments.revisions import unseen_source
from sentiment.experiments.table import experiments, experiments_table

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sentiment experiments`: there are none."""


def main(args: argparse.Namespace) -> None:
    """Print the table."""
    sys.stdout.write(experiments_table(experiments()) + "\n")
    if missing := unseen_source():
        log.warning(missing)
