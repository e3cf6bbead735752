"""Reviews and a source encoder in; a pretrained model and its tokenizer, or their folder, out."""

import logging
from collections.abc import Callable
from pathlib import Path

import torch
from tqdm import tqdm
from transformers import PreTrainedModel

from sentiment.common.params import load_params
from sentiment.data.csv_reader import read_chunks
from sentiment.data.splitting import SplitParams
from sentiment.data.text import hash_texts
from sentiment.encoder.loading import pick_device
from sentiment.finetuning.run import make_deterministic
from stages.prepare import Params as PrepareParams
from tools.encoder_folder import export
from tools.pretrain.augmentation import ReviewAugmenter
from tools.pretrain.config import PretrainingConfig
from tools.pretrain.corpus import Corpus, read_corpus
from tools.pretrain.model import build_model, initial_embeddings
from tools.pretrain.ppmi import ppmi_embeddings, text_targets, title_ngrams, token_indicator
from tools.pretrain.source_encoder import SourceEncoder, load_source_encoder
from tools.pretrain.training import StepMetrics, train_model
from tools.pretrain.vocabulary import Vocabulary, prune

log = logging.getLogger(__name__)


def pretrain(
    corpus: Corpus,
    source_encoder: SourceEncoder,
    config: PretrainingConfig,
    device: torch.device,
    steps: int | None = None,
    on_step: Callable[[StepMetrics], object] = lambda step: None,
) -> tuple[PreTrainedModel, Vocabulary]:
    """Pretrain a model on the corpus and return it with its tokenizer; equal arguments give equal weights."""
    torch.manual_seed(config.seed)
    vocabulary = prune(source_encoder.tokenizer, corpus.texts, config.min_token_count)
    token_ids = vocabulary.token_ids(corpus.texts)
    titles, has_title = title_ngrams(corpus.titles, config.min_title_ngram_count), corpus.has_title()
    log.info("pretrain: %d texts, %d with a title, %d tokens", len(token_ids), has_title.sum(), len(vocabulary))

    indicator = token_indicator(token_ids, len(vocabulary))
    token_ppmi = ppmi_embeddings(
        indicator[has_title], titles.indicator[has_title], config.embedding_size // 2, config.seed
    )
    embeddings = initial_embeddings(
        source_encoder.token_embeddings(vocabulary.source_ids, device),
        torch.from_numpy(token_ppmi).float(),
        config.embedding_size,
    )
    targets = text_targets(
        corpus.texts, has_title, titles.indicator, config.min_text_ngram_count, config.svd_dim, config.seed
    )
    augmenter = ReviewAugmenter(token_ids, vocabulary.token_ids(corpus.bodies), config)
    model = build_model(config, embeddings, device)
    train_model(model, augmenter, titles.title_distribution, torch.from_numpy(targets), config, steps, on_step)
    return model, vocabulary


def pretrain_folder(
    reviews: Path,
    params: Path,
    source_encoder: str,
    folder: Path,
    config: PretrainingConfig,
    device: str,
    steps: int | None = None,
) -> str:
    """Pretrain on the training texts of a reviews CSV, write the encoder's folder; return the SHA-256 of its weights.

    Args:
        params: params.yaml, whose text columns and split count.
        source_encoder: a folder, or an installed package that has a sentence encoder in it.
        device: auto, cpu, cuda or mps.
        steps: of optimization; None for all of `config.epochs`.
    """
    make_deterministic(config.seed)
    columns = list(load_params(params, "prepare", PrepareParams).text_columns)
    corpus = read_corpus(read_chunks(reviews, columns), columns, load_params(params, "split", SplitParams))
    source = load_source_encoder(source_encoder)
    torch_device = pick_device(device, key="--device")
    with tqdm(desc=f"pretrain on {torch_device.type}", unit=" steps", disable=None) as bar:

        def show(step: StepMetrics) -> None:
            bar.total = step.total
            bar.set_postfix(titles=f"{step.title_loss:.3f}", texts=f"{step.text_loss:.3f}", refresh=False)
            bar.update()

        model, vocabulary = pretrain(corpus, source, config, torch_device, steps, show)
    tokenizer = vocabulary.as_pretrained(config.max_length)
    return export(model, tokenizer.save_pretrained, hash_texts(corpus.texts), folder)
