"""Finds what customers are unhappy with, where, and since when: the words and phrases of negative reviews.

    sentiment insights reviews.csv
    sentiment insights reviews.csv --by "Department Name" --html insights.html
    sentiment insights reviews.csv --time date --by product --json insights.json
    sentiment insights reviews.csv --positive --top 10

FILE is any file that `sentiment predict` reads. Reviews have the labels of the column that training read (section
prepare of params.yaml) where the file has it, else those that the classifier predicts; --labels predicted takes these
always.

A row is a word, or two or three adjacent words, for which two things agree: reviews with it are negative more often
than the others (Fisher's exact test, p corrected for all phrases by Holm's method), and the classifier reads it so: its
contributions to the log-odds are negative in sum, and so are most clauses with it. Columns:

    reviews     that have it
    negative    how many of these are negative; others: how many of all other reviews
    effect      the difference in percentage points, with its 95% interval
    extra       negative reviews beyond what the share of the others would give; the table is ordered by it

The sentences shown are from the file: share the output as you would share the file.
"""

import argparse
import logging
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

from sentiment.cli.arguments import add_classifier_arguments, add_layout_argument, positive
from sentiment.common.errors import InputError, ParamsError
from sentiment.common.files import write_json, write_text
from sentiment.common.tables import LABELS
from sentiment.data.readers import ID, InputColumns
from sentiment.inference.classifier import SentimentClassifier
from sentiment.inference.formats import is_input_name, reader_of
from sentiment.inference.streams import progress, reading
from sentiment.insights.analysis import Collector, Insights, Settings, label_column
from sentiment.insights.page import lines, render

log = logging.getLogger(__name__)


def analyze(args: argparse.Namespace) -> Insights:
    """Read the file, and return what its reviews say.

    Raises:
        ParamsError: FILE is no name of a file.
        InputError: the file cannot be read, or lacks a column.
    """
    if not is_input_name(args.file):
        raise ParamsError(f"{args.file}: no such file; expected a file of reviews, or - for standard input")
    settings = Settings(
        labels=LABELS if args.positive else LABELS[:1],
        by=tuple(dict.fromkeys(args.by)),
        time=args.time,
        time_format=args.time_format,
        top=args.top,
        min_support=args.min_reviews,
    )
    with ExitStack() as stack:
        reader = reader_of(args.file, args.as_prepared)
        source = stack.enter_context(reading(args.file))
        classifier = SentimentClassifier.load_revision(args.rev, args.classifier, args.device)
        text_columns = tuple(args.text_column or classifier.classifier.config.features.text_columns)
        table = reader(args.file, source.content, InputColumns(text_columns, None, with_ids=False))
        columns = [name for name in table.types if name != ID]
        for name in filter(None, (*settings.by, settings.time)):
            if name not in columns:
                raise InputError(f"{args.file}: no column '{name}'; found {', '.join(columns) or 'none'}")
        column = None if args.labels == "predicted" else label_column(args.params, columns)
        collector = Collector(classifier, column, settings)
        advance = stack.enter_context(progress("insights", source))
        for batch in table.batches:
            collector.add(batch)
            advance(collector.rows)
    return collector.finish(args.file)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sentiment insights`."""
    parser.add_argument("file", metavar="FILE", help="of reviews, or - for standard input")
    parser.add_argument(
        "--by", action="append", default=[], metavar="COLUMN", help="say what matters in each of its values, at "
        "most 12 (may be given several times)",
    )  # fmt: skip
    parser.add_argument("--time", metavar="COLUMN", help="of dates: say what matters by month, and since when")
    parser.add_argument("--time-format", metavar="FORMAT", help="of the dates, such as %%m/%%d/%%Y (default: ISO 8601)")
    parser.add_argument("--positive", action="store_true", help="say besides what makes reviews positive")
    parser.add_argument("--top", type=positive, default=20, help="rows of the table, at most (default: %(default)s)")
    parser.add_argument(
        "--min-reviews", type=positive, metavar="N", help="that have a phrase (default: one of a thousand, at least 5)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything as JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write one self-contained HTML page")
    parser.add_argument(
        "--labels", choices=["auto", "predicted"], default="auto", help="of the reviews (default: those in the "
        "file, if it has the column of params.yaml)",
    )  # fmt: skip
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="default: %(default)s")
    parser.add_argument(
        "--text-column", action="append", metavar="NAME", help="a column to read instead of those in training (may be "
        "given several times)",
    )  # fmt: skip
    add_layout_argument(parser)
    add_classifier_arguments(parser)


def main(args: argparse.Namespace) -> None:
    """Show the table, and write the files that are asked for."""
    if args.time_format and not args.time:
        raise ParamsError("--time-format is of the dates of --time")
    insights = analyze(args)
    for line in lines(insights, shutil.get_terminal_size((100, 24)).columns):
        sys.stdout.write(f"{line}\n")
    if args.json:
        write_json(args.json, insights.as_mapping())
        log.info("insights: %s", args.json)
    if args.html:
        write_text(args.html, render(insights))
        log.info("insights: %s", args.html)
