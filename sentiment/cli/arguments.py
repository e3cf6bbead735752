"""Arguments that several sub-commands share: classifier, device, threshold, and the DVC remote."""

import argparse
from pathlib import Path

from sentiment.experiments.revisions import CLASSIFIER, PARAMS, WORKSPACE


def add_classifier_arguments(parser: argparse.ArgumentParser, classifier: Path = CLASSIFIER) -> None:
    """Add --classifier, --rev and --device; `classifier` is the default folder."""
    parser.add_argument("--classifier", type=Path, default=classifier, help="its folder (default: %(default)s)")
    add_device_arguments(parser)


def add_device_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --rev and --device."""
    revision = "take the classifier from this commit, tag or experiment, through DVC (default: %(default)s)"
    parser.add_argument("--rev", default=WORKSPACE, help=revision)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda", "mps"], default="auto", help="where to compute")


def add_remote_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --remote and --jobs."""
    parser.add_argument("-r", "--remote", metavar="NAME", help="of DVC (default: the project's default remote)")
    parser.add_argument("-j", "--jobs", type=int, help="connections (default: as many as DVC takes)")


def add_layout_argument(parser: argparse.ArgumentParser) -> None:
    """Add --as-prepared, the params.yaml that says how the file is written."""
    parser.add_argument(
        "--as-prepared", action="store_const", const=Path(PARAMS), help="read the file as section prepare of "
        "params.yaml says: format, delimiter, quotes, encoding, sheet, lines above "
        "(default: by its name, with ',' and UTF-8)",
    )  # fmt: skip


def positive(text: str) -> int:
    """Read a positive integer from the command line."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive number")
    return int(text)


def probability(text: str) -> float:
    """Read a threshold from the command line."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0 and below 1")
    return value
