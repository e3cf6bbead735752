"""One self-contained page about an experiment, or about two side by side: report.html.

    python -m sentiment.cli.report               the workspace
    python -m sentiment.cli.report main          a branch beside the workspace
    python -m sentiment.cli.report main lr-3     two revisions: commits, branches, tags or experiments

It opens without a network. Texts of reviews stand in it where the workspace has them: pass it on as you would them.
"""

import argparse
import logging
from datetime import UTC, datetime
from pathlib import Path

from sentiment.common.errors import run
from sentiment.common.files import write_text
from sentiment.tracking.revisions import WORKSPACE
from sentiment.report.collect import gather
from sentiment.report.page import render

log = logging.getLogger(__name__)


def main() -> None:
    """Read the arguments, gather, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a", metavar="A", nargs="?", help="commit, branch, tag or experiment (default: only B)")
    parser.add_argument("b", metavar="B", nargs="?", default=WORKSPACE, help="the same (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("report.html"), help="default: %(default)s")
    args = parser.parse_args()

    names = list(dict.fromkeys([args.a or args.b, args.b]))
    write_text(args.output, render(gather(names), f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"))
    log.info("report: %s", args.output)


if __name__ == "__main__":
    run(main)
