"""Write report.html, one self-contained page about one revision, or about several that are compared with the first.

    sentiment report                    the workspace on test: the one look at test, for the chosen result
    sentiment report main               the same of a commit, branch, tag or experiment
    sentiment report main workspace     a branch and the workspace, compared on val
    sentiment report main lr-3 lr-4     several revisions
    sentiment report tfidf workspace    a baseline, made by `sentiment baseline`
    sentiment report tfidf main --split test

It opens without a network. It contains review text where the workspace has it: share it as you would share the data.
"""

import argparse
import logging
from pathlib import Path

from sentiment.common.tables import SCORED, TEST, VAL

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sentiment report`."""
    parser.add_argument(
        "revisions", metavar="REVISION", nargs="*", help="commit, branch, tag, experiment, baseline or workspace; "
        "several are compared with the first (default: workspace)",
    )  # fmt: skip
    parser.add_argument("--split", choices=SCORED, help="whose reviews (default: test for one revision, else val)")
    parser.add_argument("--output", type=Path, default=Path("report.html"), help="default: %(default)s")


def main(args: argparse.Namespace) -> None:
    """Collect what the report shows, and write the page as one HTML file."""
    import vl_convert  # noqa: F401 - where it is missing, that is said before the work

    from sentiment.common.files import write_text  # these take seconds, which --help does not need
    from sentiment.experiments.revisions import WORKSPACE
    from sentiment.report.data import collect
    from sentiment.report.page import render

    names = list(dict.fromkeys(args.revisions)) or [WORKSPACE]
    data = collect(names, args.split or (TEST if len(names) == 1 else VAL))
    write_text(args.output, render(data))
    log.info("report: %s", args.output)
