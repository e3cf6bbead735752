"""Texts in; probability and sentiment of each out, by a trained classifier.

    sentiment predict "Lovely dress, fits perfectly" "Fell apart in a week"
    sentiment predict reviews.csv --output labels.csv
    sentiment predict s3://bucket/new.parquet --output s3://bucket/labels.parquet --keep
    sentiment predict reviews.csv --text-column headline --text-column body --format jsonl
    sentiment predict --rev v1.0 reviews.csv --output labels.csv
    generate | sentiment predict - | head

An input is texts, one file (.csv, .parquet, .jsonl, .txt, here or on s3://), or - for standard input: lines, or JSON
lines where the first starts with a brace. Output is readable on a terminal and CSV elsewhere, with the columns id,
probability (of "positive"), sentiment. The id is the input's column id, else the number of the row. The order
of the rows is kept; a row without text, or broken, has an empty probability and is counted at the end.

From Python:

    from sentiment import SentimentClassifier
    SentimentClassifier.load("models/classifier").predict_proba(["Lovely dress", "Fell apart in a week"])
"""

import argparse
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sentiment.head.classifier import Classifier
from sentiment.inference.batches import PredictionBatch, Source
from sentiment.inference.classifier import SentimentClassifier
from sentiment.inference.formats import input_file, output_format, reader_of
from sentiment.inference.readers import InputColumns, from_texts
from sentiment.inference.streams import STANDARD, reading, writing
from sentiment.inference.summary import PredictionSummary
from sentiment.inference.writers import WRITERS
from sentiment.tracking.fetch import fetch_classifier

__all__ = ["SentimentClassifier", "main", "predict"]

log = logging.getLogger(__name__)


def predict(
    source: Source, sentiment: SentimentClassifier, threshold: float, on_batch: Callable[[int], object] | None = None
) -> Iterator[PredictionBatch]:
    """Yield the source's rows with their answers, in order; "positive" is a probability of at least `threshold`."""
    for rows in source.rows:
        probabilities = sentiment.predict_proba(rows.texts, on_batch)
        yield PredictionBatch(rows, probabilities, probabilities >= np.float32(threshold))


def label(args: argparse.Namespace, classifier: Path, tally: PredictionSummary) -> None:
    """Label the inputs, and write the answers as they come."""
    config = Classifier.load(classifier).config
    kind = output_format(args.format, args.output, sys.stdout.isatty())
    with ExitStack() as stack:
        if name := input_file(args.inputs):
            wanted = InputColumns(tuple(args.text_column or config.features.text_columns), args.keep)
            source = reader_of(name)(name, stack.enter_context(reading(name)), wanted)
        else:
            source = from_texts(args.inputs)
        sentiment = SentimentClassifier.load(classifier, args.device)
        write = stack.enter_context(WRITERS[kind](stack.enter_context(writing(args.output)), source.columns))
        on_screen = kind == "text" and args.output == STANDARD
        bar = stack.enter_context(tqdm(desc="predict", unit=" reviews", disable=True if on_screen else None))
        for labelled in predict(source, sentiment, args.threshold or config.threshold, bar.update):
            write(labelled)
            tally.add(labelled)


def share(text: str) -> float:
    """Read a threshold; argparse shows the ValueError as a wrong argument."""
    value = float(text)
    if not 0 < value < 1:
        raise ValueError
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sentiment predict`."""
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="texts, or one file, or - for standard input")
    parser.add_argument("--output", default=STANDARD, help="a file or s3:// object (default: standard output)")
    parser.add_argument("--format", choices=list(WRITERS), help="of the output (default: by its name)")
    parser.add_argument("--keep", action="store_true", help="write the input's columns too")
    parser.add_argument(
        "--text-column", action="append", metavar="NAME", help="a column to read instead of those in training; the "
        "last one is the body, without which there is no review (may be given several times)",
    )  # fmt: skip
    parser.add_argument("--threshold", type=share, help="positive from this probability on (default: the classifier's)")
    parser.add_argument(
        "--classifier", type=Path, default=Path("models/classifier"), help="its folder (default: %(default)s)"
    )
    parser.add_argument("--rev", help="take the classifier from this commit, tag or experiment, through DVC")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda", "mps"], default="auto", help="where to compute")


def main(args: argparse.Namespace) -> int:
    """Label the inputs, and log how many rows got which label."""
    tally = PredictionSummary()
    try:
        with tempfile.TemporaryDirectory(prefix="predict-") as folder:
            classifier = fetch_classifier(args.rev, args.classifier, Path(folder)) if args.rev else args.classifier
            label(args, classifier, tally)
    except KeyboardInterrupt:
        fate = "written" if args.output == STANDARD else f"labelled, {args.output} not written"
        log.error("stopped by Ctrl-C: %s rows %s", f"{tally.rows:,}", fate)
        return 130
    except BrokenPipeError:  # the reader of standard output has seen enough: `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python fails once more at its exit
        return 128 + 13  # as a shell reports a program that SIGPIPE ended
    for line in tally.report():
        log.info("predict: %s", line)
    return 0
