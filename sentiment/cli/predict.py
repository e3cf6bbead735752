"""Labels texts: writes the probability of "positive" and the sentiment of each, by a trained classifier.

    sentiment predict "I love this dress, it fits perfectly" "The seams came loose after one wash"
    sentiment predict reviews.csv --output labels.csv
    sentiment predict s3://bucket/new.parquet --output s3://bucket/labels.parquet --keep-columns
    sentiment predict reviews.csv --text-column headline --text-column body --format jsonl
    sentiment predict --rev v1.0 reviews.csv --output labels.csv
    sentiment predict --clauses "Lovely soft fabric, but the seams came loose"
    sentiment predict --explain "Soft and warm, but the seams came loose"
    generate | sentiment predict - | head

An input is texts, one file (.csv, .tsv, .jsonl, .ndjson, .json, .parquet, .xlsx, .txt; all but Parquet and Excel also
with .gz; local or s3://), or - for standard input: lines of text, or JSON lines where the first line starts like an
object.
Output is readable on a terminal and CSV elsewhere, with the columns id, probability (of "positive"), sentiment.
The id is the input's column id, else the number of the row. The order of the rows is kept; a row without text, or a
broken one, has an empty probability and is counted at the end.

--explain shows how much each word contributes to the log-odds of "positive". Readable output has a second line with the
words that contribute most. Elsewhere the column explanation has JSON: text, words with offsets and contributions, and
what belongs to no word; together they add up to the logit.

From Python:

    from sentiment import SentimentClassifier
    SentimentClassifier.load("models/classifier").predict_proba(["I love it, it fits", "Came apart after one wash"])
"""

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import numpy as np

from sentiment.cli.arguments import add_classifier_arguments, add_layout_argument, probability
from sentiment.common.errors import ParamsError
from sentiment.data.readers import InputBatch, InputColumns, from_texts
from sentiment.inference.classifier import SentimentClassifier
from sentiment.inference.explanation import MAX_TEXTS, clause_texts
from sentiment.inference.formats import (
    EXPLANATION,
    OUTPUT_COLUMNS,
    WRITERS,
    PredictionBatch,
    PredictionSummary,
    csv_writer,
    input_file,
    output_format,
    plural,
    reader_of,
)
from sentiment.inference.streams import STANDARD, check_output, progress, reading, refuse_same_file, writing

log = logging.getLogger(__name__)


def predict(
    batch: InputBatch, classifier: SentimentClassifier, threshold: float | None, explains: bool
) -> Iterator[PredictionBatch]:
    """Yield the rows of a batch with their predictions: in one piece, or with explanations a few at a time."""
    if not explains:
        probabilities = classifier.predict_proba(batch.texts)
        yield PredictionBatch(batch, probabilities, classifier.label(probabilities, threshold))
        return
    for start in range(0, len(batch.texts), MAX_TEXTS):
        rows = batch.rows(start, start + MAX_TEXTS)
        explanations = classifier.explain(rows.texts)
        values = [explanation.probability if explanation else np.nan for explanation in explanations]
        probabilities = np.array(values, dtype=np.float32)
        yield PredictionBatch(rows, probabilities, classifier.label(probabilities, threshold), explanations)


def run(args: argparse.Namespace, summary: PredictionSummary) -> None:
    """Label the inputs, and write predictions as they are made."""
    kind = output_format(args.format, args.output, sys.stdout.isatty())
    name = input_file(args.inputs)
    reader = reader_of(name, args.as_prepared) if name else None
    check_output(args.output)
    if name and args.clauses:
        raise ParamsError(f"{name}: --clauses is for texts; for a file, call SentimentClassifier.predict_clauses")
    if name:
        refuse_same_file(name, args.output)
    with ExitStack() as stack:
        source = stack.enter_context(reading(name)) if name else None
        classifier = SentimentClassifier.load_revision(args.rev, args.classifier, args.device)
        if name and reader and source:
            text_columns = args.text_column or classifier.classifier.config.features.text_columns
            written = (*OUTPUT_COLUMNS, *([EXPLANATION] if args.explain else []))
            columns = InputColumns(tuple(text_columns), None if args.keep_columns else (), written)
            table = reader(name, source.content, columns)
        elif args.clauses:
            table = from_texts(clause for text in args.inputs for clause in clause_texts(text))
        else:
            table = from_texts(args.inputs)
        if args.explain and len(classifier.classifier.layers) > 1:
            log.info("predict: the head has several layers: contributions are gradient times input, not an exact sum")
        types = table.types | ({EXPLANATION: "string"} if args.explain else {})
        writer = partial(csv_writer, escape_formulas=True) if args.escape_formulas and kind == "csv" else WRITERS[kind]
        write = stack.enter_context(writer(stack.enter_context(writing(args.output)), types))
        is_hidden = True if kind == "text" and args.output == STANDARD else None  # None: shown on a terminal only
        advance = stack.enter_context(progress("predict", source, is_hidden))
        for batch in table.batches:
            if name and not summary.rows:
                for line in classifier.encoder.coverage(batch.texts).warnings(classifier.encoder.config.max_length):
                    log.warning("predict: %s (first %d rows)", line, len(batch.texts))
            for predictions in predict(batch, classifier, args.threshold, args.explain):
                write(predictions)
                summary.add(predictions)
            advance(summary.rows)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sentiment predict`."""
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="texts, or one file, or - for standard input")
    parser.add_argument("--output", default=STANDARD, help="a file or s3:// object (default: standard output)")
    parser.add_argument("--format", choices=list(WRITERS), help="of the output (default: by its name)")
    parser.add_argument("--keep-columns", action="store_true", help="write the input's columns too, as they are")
    parser.add_argument(
        "--escape-formulas", action="store_true", help="in CSV, put an apostrophe before what a spreadsheet would run "
        "as a formula",
    )  # fmt: skip
    parser.add_argument(
        "--text-column", action="append", metavar="NAME", help="a column to read instead of those in training; the "
        "last one is the body, without which there is no review (may be given several times)",
    )  # fmt: skip
    add_layout_argument(parser)
    parser.add_argument("--explain", action="store_true", help="show how much each word contributes")
    parser.add_argument(
        "--clauses", action="store_true", help="label each clause of a text: each sentence, cut at but, however, though"
    )
    parser.add_argument(
        "--threshold", type=probability, help="positive from this probability on, above 0 and below 1 (default: the "
        "classifier's)",
    )  # fmt: skip
    add_classifier_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Label the inputs, and log how many rows got which label."""
    summary = PredictionSummary()
    try:
        run(args, summary)
    except KeyboardInterrupt:
        outcome = "written" if args.output == STANDARD else f"labeled, {args.output} not written"
        log.error("stopped by Ctrl-C: %s %s", plural(summary.rows, "row"), outcome)
        return 130
    for line in summary.report():
        log.info("predict: %s", line)
    return 0
