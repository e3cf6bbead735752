"""Test whether new reviews are still like those on which a classifier was tested.

    sentiment drift new.csv                             exit status 1 where they are not, for cron
    sentiment drift new.csv --by Department --by day    each value with at least 100 reviews, too
    sentiment drift new.csv --rev sentiment@production --json drift.json --html drift.html
    sentiment drift predictions.jsonl --predictions --by day      the log of `sentiment serve --prediction-log`

The val reviews of the revision are what is known. Compared are lengths, tokens per word (which typos, names and other
languages raise), predicted probabilities (Kolmogorov-Smirnov's test of each), and content: how well a linear
classifier tells new from known by the encoder's features. An alarm needs a difference that is more than chance, with
p corrected for all that is tested, and large: of at most 2,000 reviews, so that no alarm comes from size alone.
A value of a column is compared with the same value among the known reviews, and left out where fewer than 100 of them
have it; where they have no such column, with all of them.
"""

import argparse
import logging
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from sentiment.cli.arguments import add_classifier_arguments, add_layout_argument
from sentiment.common.command import printable
from sentiment.common.errors import InputError, ParamsError, one_line
from sentiment.common.files import write_json, write_text
from sentiment.common.tables import read_content
from sentiment.data.readers import ID, InputColumns, as_string
from sentiment.evaluation.significance import format_p
from sentiment.experiments.revisions import SPLIT, Revision
from sentiment.inference.classifier import SentimentClassifier
from sentiment.inference.formats import reader_of
from sentiment.inference.prediction_log import read_predictions
from sentiment.inference.streams import progress, reading

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sentiment.drift.shifts import Sample, Shift

KNOWN = SPLIT / "val.parquet"
MIN_GROUP, MAX_GROUPS = 100, 12  # reviews of a value, and values of a column, those with most reviews
DAY = "day"  # in UTC
ALL = ""  # the group of all reviews

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the file, the columns, and where the classifier is."""
    parser.add_argument("file", metavar="FILE", help="of new reviews, or - for lines of text on standard input")
    parser.add_argument(
        "--by", action="append", default=[], metavar="COLUMN", help="also by its values, such as days (may be repeated)"
    )
    parser.add_argument(
        "--predictions", action="store_true", help="FILE is a server's log: no content is compared; --by day alone"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every test as JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write every test as a self-contained HTML page")
    add_layout_argument(parser)
    add_classifier_arguments(parser)


def read(args: argparse.Namespace, columns: tuple[str, ...]) -> tuple[list[str], dict[str, list[str]]]:
    """Return the texts of the file that are not blank, and their values of each column of --by.

    Raises:
        InputError: the file cannot be read, or lacks a column.
    """
    texts: list[str] = []
    values: dict[str, list[str]] = {name: [] for name in args.by}
    n_broken = n_blank = 0
    with reading(args.file) as source, progress("drift", source) as advance:
        table = reader_of(args.file, args.as_prepared)(
            args.file, source.content, InputColumns(columns, None, with_ids=False)
        )
        found = [name for name in table.types if name != ID]
        for name in args.by:
            if name not in found:
                raise InputError(f"{args.file}: no column '{name}'; found {', '.join(found) or 'none'}")
        for batch in table.batches:
            kept = [row for row, text in enumerate(batch.texts) if text.strip()]
            texts += [batch.texts[row] for row in kept]
            n_broken += len(batch.errors)
            n_blank += len(batch.texts) - len(kept) - len(batch.errors)
            for name, of_column in values.items():
                of_column += [as_string(batch.passthrough[name][row]) for row in kept]
            advance(batch.first + len(batch.texts) - 1)
    if not texts:
        raise InputError(f"{args.file}: no reviews")
    if n_broken or n_blank:
        log.info("drift: left out %s broken rows, and %s without text", f"{n_broken:,}", f"{n_blank:,}")
    return texts, values


def group_rows(
    n_texts: int, values: Mapping[str, Sequence[str]], at_most: int | None = MAX_GROUPS
) -> "dict[str, NDArray[np.intp]]":
    """Return rows of all reviews, and of the most frequent values of each column, at most `MAX_REVIEWS` of each."""
    from sentiment.drift.shifts import MAX_REVIEWS, evenly

    rows = {ALL: evenly(n_texts, MAX_REVIEWS)}
    for name, of_column in values.items():
        array = np.array(of_column, dtype=object)
        for value, count in Counter(of_column).most_common(at_most):
            if count >= MIN_GROUP:
                rows[f"{name}: {value}"] = np.flatnonzero(array == value)[evenly(count, MAX_REVIEWS)]
    return rows


def sampled(
    classifier: SentimentClassifier, texts: Sequence[str], groups: "Mapping[str, NDArray[np.intp]]"
) -> "dict[str, Sample]":
    """Return a sample of each group of texts; each text is encoded once."""
    from sentiment.drift.shifts import Sample

    chosen = np.unique(np.concatenate(list(groups.values())))
    sample = Sample.of(classifier, [texts[row] for row in chosen])
    return {name: sample[np.searchsorted(chosen, rows)] for name, rows in groups.items()}


def logged(args: argparse.Namespace) -> "tuple[dict[str, Sample], int]":
    """Return a sample of each group of a log of predictions, and the number of its lines.

    Raises:
        ParamsError: --by is not day.
        InputError: the file is no such log.
    """
    from sentiment.drift.shifts import Sample, measures

    if unknown := set(args.by) - {DAY}:
        raise ParamsError(f"--by {min(unknown)}: of a log of predictions, only --by {DAY}")
    table = read_predictions(Path(args.file))
    columns = {name: table[name].to_numpy().astype(np.float64) for name in table.column_names}
    days = {DAY: np.datetime_as_string(columns["time"].astype("datetime64[s]"), "D").tolist()} if args.by else {}
    sample = Sample(measures(columns["words"], columns["tokens"], columns["probability"]), None)
    return {name: sample[rows] for name, rows in group_rows(len(table), days).items()}, len(table)


def as_text(found: "list[Shift]") -> str:
    """Return a table, a line for each test."""
    lines = [f"{'':<28}{'':<26}{'known':>9}{'new':>9}{'distance':>10}{'p':>8}"]
    for one in found:
        medians = "".join(f"{'' if value is None else format(value, '.2f'):>9}" for value in (one.known, one.new))
        p = format_p(one.p_value)
        alarm = "  ALARM" if one.alarm else ""
        group = printable(one.group) or "all reviews"
        lines.append(f"{group:<28}{one.name:<26}{medians}{one.distance:>10.3f}{p:>8}{alarm}")
    return "\n".join(lines)


def as_page(found: "list[Shift]", name: str, n_reviews: int) -> str:
    """Return an HTML page, in the look of the report."""
    from sentiment.drift.shifts import ALPHA, MAX_REVIEWS, MIN_AUC, MIN_DISTANCE
    from sentiment.report.page import document  # jinja2, which the table does not need

    return document(
        "drift.html.j2", {"format_p": format_p}, shifts=found, name=name, n_reviews=n_reviews,
        limits=(MIN_DISTANCE, 2 * MIN_AUC - 1), alpha=ALPHA, max_reviews=MAX_REVIEWS,
    )  # fmt: skip


def main(args: argparse.Namespace) -> int:
    """Write the table; 1 where a test is an alarm.

    Raises:
        InputError: the file or the val reviews of the revision cannot be read.
        ClassifierError: the classifier is missing or damaged.
    """
    from sentiment.drift.shifts import shifts  # scikit-learn, a second

    classifier = SentimentClassifier.load_revision(args.rev, args.classifier, args.device)
    try:
        val = read_content(Revision(args.rev).read(KNOWN.as_posix()))
    except pa.ArrowException as error:
        raise InputError(f"{KNOWN} of {args.rev}: not a Parquet file ({one_line(error)[:200]})") from None
    shared = {name: list(map(as_string, val[name].to_pylist())) for name in args.by if name in val.column_names}
    if args.predictions:
        new, n_reviews = logged(args)
    else:
        texts, values = read(args, classifier.classifier.config.features.text_columns)
        new, n_reviews = sampled(classifier, texts, group_rows(len(texts), values)), len(texts)
    of_val = group_rows(len(val), shared, None)
    compared = {name: rows for name, rows in of_val.items() if name in new}
    known = sampled(classifier, val["text"].to_pylist(), compared)
    rare = tuple(f"{column}: " for column in shared)  # what the known reviews have too few of says nothing
    new = {name: sample for name, sample in new.items() if name in known or not name.startswith(rare)}
    found = shifts({name: (known.get(name, known[ALL]), sample) for name, sample in new.items()})
    n_alarms = sum(one.alarm for one in found)
    sys.stdout.write(f"{as_text(found)}\n\n{n_reviews:,} new reviews: {n_alarms or 'no'} alarms\n")
    if args.json:
        write_json(args.json, {"reviews": n_reviews, "alarms": n_alarms, "tests": [asdict(one) for one in found]})
    if args.html:
        write_text(args.html, as_page(found, Path(args.file).name, n_reviews))
    return int(n_alarms > 0)
