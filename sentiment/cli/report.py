"""Write report.html, one self-contained page about one revision or about two that are compared.

    sentiment report               the workspace
    sentiment report main          a branch and the workspace
    sentiment report main lr-3     two revisions: commits, branches, tags or experiments
    sentiment report tfidf         a baseline, made by `sentiment baseline`, and the workspace

It opens without a network. It contains review text where the workspace has it: share it as you would share the data.
"""

import argparse
import logging
from datetime import UTC, datetime
from pathlib import Path

from sentiment.common.files import write_text
from sentiment.experiments.revisions import WORKSPACE
from sentiment.report.data import collect
from sentiment.report.page import render

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sentiment report`."""
    parser.add_argument(
        "a", metavar="A", nargs="?", help="commit, branch, tag, experiment or baseline (default: only B)"
    )
    parser.add_argument("b", metavar="B", nargs="?", default=WORKSPACE, help="the same (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("report.html"), help="default: %(default)s")


def main(args: argparse.Namespace) -> None:
    """Collect what the report shows, and write the page as one HTML file."""
    names = list(dict.fromkeys([args.a or args.b, args.b]))
    write_text(args.output, render(collect(names), f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"))
    log.info("report: %s", args.output)
