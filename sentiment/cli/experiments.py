"""List the workspace, the current commit and all experiments, the best first, with the params that differ.

    sentiment experiments            what `make experiments` does
    sentiment experiments | less -S  each row on one line, however many params differ

Accuracy and AUC are of val, and the order is by the validation loss of the epoch that is kept: choose by val, and look
at test once, in `sentiment report` of the chosen one. Experiments that started from other commits are in the table,
too. `dvc exp show` has every param and every metric. Where queued and --temp experiments would fail for want of
`prepare.source`, a line on standard error says so.
"""

import argparse
import logging
import shutil
import sys

WIDTH_OF_A_FILE = 10_000  # characters; where no terminal wraps the lines

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sentiment experiments`: there are none."""


def main(args: argparse.Namespace) -> None:
    """Print the table."""
    from sentiment.experiments.comparison import experiments, experiments_table
    from sentiment.experiments.revisions import unseen_source  # a second, which --help does not need

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDTH_OF_A_FILE
    sys.stdout.write(experiments_table(experiments(), width) + "\n")
    if missing := unseen_source():
        log.warning(missing)
