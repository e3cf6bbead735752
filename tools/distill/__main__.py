"""Distill a large encoder into a small one: fine-tune it on what the large one predicts for the train split.

    python -m tools.distill --split data/split --teacher minilm --student models/encoders/bundled \\
        --out models/encoders/distilled

Not a stage of the pipeline: it is run by hand, and its output is in git. Teachers are fine-tuned on parts of the train
split, and each predicts the reviews that it did not see. The student is fine-tuned on these probabilities, mixed with
the labels: Hinton et al., Distilling the Knowledge in a Neural Network, 2015, https://arxiv.org/abs/1503.02531. Reviews
of val choose the epochs. Those of test are not read.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from sentiment.common.command import run_main
from sentiment.data.text import hash_texts, read_seen_texts
from sentiment.encoder.files import TOKENIZER_FILES, check_weights, copy_files
from sentiment.finetuning.run import make_deterministic
from sentiment.finetuning.training import rating_thresholds
from tools.distill.examples import read_examples
from tools.distill.teaching import DistillConfig, TrainableEncoder, cross_fit, student_targets
from tools.encoder_folder import export

log = logging.getLogger(__name__)


def distill(split: Path, teacher: Path, student: Path, out: Path, config: DistillConfig) -> str:
    """Train teachers and student, write the student's folder, and return the SHA-256 of its weights.

    Equal arguments give equal weights on one machine.

    Args:
        split: the folder of the train and val tables.
        teacher, student: folders of encoders that transformers loads.
        out: the folder to write.

    Raises:
        EncoderError: an encoder is missing or cannot be loaded, or the teacher was trained on reviews that it would
            predict.
    """
    make_deterministic(config.seed)
    check_weights(student)  # before hours of teachers
    thresholds = rating_thresholds(split / "train.parquet")
    train = read_examples(split / "train.parquet", thresholds, config.n_excerpts, config.seed)
    val = read_examples(split / "val.parquet", thresholds, 0, config.seed)
    probabilities = cross_fit(teacher, train, val, config)
    torch.manual_seed(config.seed)
    encoder = TrainableEncoder(student, config.student, config.student_max_length)
    encoder.train(
        encoder.dataset(train.texts, student_targets(probabilities, train, config.label_weight)),
        encoder.dataset(val.texts, val.targets),
        "student",
    )
    seen = np.concatenate([read_seen_texts(student), hash_texts(train.reviews)])
    return export(encoder.encoder, lambda folder: copy_files(student, folder, TOKENIZER_FILES), seen, out)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments (default: the command line's) and distill."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--split", type=Path, required=True, help="the folder of the train and val tables")
    add("--teacher", type=Path, required=True, help="the folder of the encoder that is fine-tuned to teach")
    add("--student", type=Path, required=True, help="the folder of the encoder that learns")
    add("--out", type=Path, required=True, help="the folder to write; a model card in it stays")
    add("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"], help="auto takes a GPU where there is one")
    args = parser.parse_args(arguments)
    sha256 = distill(args.split, args.teacher, args.student, args.out, DistillConfig(device=args.device))
    log.info("distill: wrote %s, weights' SHA-256 %s", args.out, sha256)


if __name__ == "__main__":
    run_main(main)
