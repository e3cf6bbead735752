"""Write report.html, one self-contained page about one revision, or about several that are compared with the first.

    sentiment report                    the workspace
    sentiment report main               a branch and the workspace
    sentiment report main lr-3 lr-4     revisions: commits, branches, tags or experiments
    sentiment report tfidf workspace    a baseline, made by `sentiment baseline`

It opens without a network. It contains review text where the workspace has it: share it as you would share the data.
"""

import argparse
import logging
from datetime import UTC, datetime
from pathlib import Path

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sentiment report`."""
    parser.add_argument(
        "revisions", metavar="REVISION", nargs="*", help="commit, branch, tag, experiment, baseline or workspace; one "
        "is compared with the workspace",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, default=Path("report.html"), help="default: %(default)s")


def main(args: argparse.Namespace) -> None:
    """Collect what the report shows, and write the page as one HTML file."""
    from sentiment.common.files import write_text  # these take seconds, which --help does not need
    from sentiment.experiments.revisions import WORKSPACE
    from sentiment.report.data import collect
    from sentiment.report.page import render

    names = args.revisions if len(args.revisions) > 1 else [*args.revisions, WORKSPACE]
    data = collect(list(dict.fromkeys(names)))
    write_text(args.output, render(data, f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"))
    log.info("report: %s", args.output)
