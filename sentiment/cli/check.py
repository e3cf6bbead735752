"""Test how a classifier behaves: negations, typos, other names, ... by texts whose label a reader knows.

    sentiment check                       the classifier of the workspace
    sentiment check models/classifier --examples 10
    sentiment check --rev main --json -   the one of a commit, branch, tag or experiment, as JSON
    sentiment check --fail-above 0.9      exit with 1 where a kind fails in more than 90%, for CI

A kind of test has as many texts as --cases says. Minimum functionality: the label is the expected one. Invariance: the
label is the same as of the original text, right or wrong. Direction: the probability does not move the wrong way by
more than 0.05. A failure rate is followed by its 95% interval. Failures are findings: the exit status is 0.

The stage `check` of the pipeline does the same with the params of section `check`.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from sentiment.cli.arguments import add_device_arguments, positive
from sentiment.experiments.revisions import CLASSIFIER

if TYPE_CHECKING:
    from sentiment.behavior.suite import KindResult, Outcome


def as_text(results: "Mapping[str, KindResult]") -> str:
    """Return the results as a table, and the failures among the examples below it."""
    width = max(len(one.title) for one in results.values())
    lines = [f"{'':<{width}}  {'test':<21}  failures    rate  95% interval"]
    for one in results.values():
        bounds = f"{one.low:.1%} to {one.high:.1%}"
        failures = f"{one.failures} of {one.cases}"
        lines.append(f"{one.title:<{width}}  {one.test:<21}  {failures:>10}  {one.failure_rate:>6.1%}  {bounds}")
    for one in results.values():
        failed = [line for example in one.examples if example.failed for line in _example(example)]
        lines += ["", f"{one.title}: {one.what}", *failed] if failed else []
    return "\n".join(lines)


def _example(one: "Outcome") -> list[str]:
    before = [] if one.original is None else [f"     {one.original_probability:.3f}  {one.original}"]
    return [f"  expected {one.expected}; got {one.label}", *before, f"     {one.probability:.3f}  {one.text}"]


def share(text: str) -> float:
    """Read a share from the command line."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 to 1")
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sentiment check`."""
    parser.add_argument("folder", metavar="FOLDER", nargs="?", type=Path, default=CLASSIFIER, help="a classifier "
        "(default: %(default)s)")  # fmt: skip
    add_device_arguments(parser)
    parser.add_argument("--cases", type=n_cases, default=200, metavar="N", help="of each kind (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample of cases (default: %(default)s)")
    parser.add_argument(
        "--examples", type=positive, default=3, metavar="N", help="failures to show of each kind (default: %(default)s)"
    )
    parser.add_argument("--json", metavar="FILE", help="write JSON to a file, or with - to standard output")
    parser.add_argument("--fail-above", type=share, metavar="RATE", help="exit with 1 if a kind fails more often")


def n_cases(text: str) -> int:
    """Read a number of cases from the command line."""
    from sentiment.behavior.suite import MAX_CASES

    if (value := positive(text)) > MAX_CASES:
        raise argparse.ArgumentTypeError(f"there are at most {MAX_CASES} cases of a kind")
    return value


def main(args: argparse.Namespace) -> int:
    """Check the classifier, and write the results; 1 if --fail-above is given and a kind fails more often."""
    from sentiment.behavior.suite import check  # these take a second, which --help does not need
    from sentiment.common.files import write_json
    from sentiment.inference.classifier import SentimentClassifier
    from sentiment.inference.streams import STANDARD

    classifier = SentimentClassifier.load_revision(args.rev, args.folder, args.device)
    results = check(classifier.predict_proba, classifier.threshold, args.seed, args.cases, args.examples)
    content = {kind: asdict(one) for kind, one in results.items()}
    if args.json == STANDARD:
        sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(as_text(results) + "\n")
        if args.json:
            write_json(Path(args.json), content)
    return int(args.fail_above is not None and any(one.failure_rate > args.fail_above for one in results.values()))
