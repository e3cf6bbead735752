"""What pretraining is made of: corpus, vocabulary, augmentation, initial embeddings and learning rate."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from transformers import AutoTokenizer

from sentiment.data.csv_reader import read_chunks
from sentiment.data.text import hash_texts, join_text
from tests.tools.encoder_checks import COLUMNS, SAMPLE, SPLIT_PARAMS
from tools.pretrain.config import PretrainingConfig
from tools.pretrain.corpus import MASK, SPECIAL_TOKENS, Batch, ReviewAugmenter, prune, read_corpus
from tools.pretrain.ppmi import ppmi_embeddings, title_ngrams, token_indicator
from tools.pretrain.training import lr_at


def test_the_corpus_has_each_training_text_once() -> None:
    corpus = read_corpus(read_chunks(SAMPLE, COLUMNS), COLUMNS, SPLIT_PARAMS)
    assert len(set(hash_texts(corpus.texts).tolist())) == len(corpus.texts)
    for title, body, text in zip(corpus.titles, corpus.bodies, corpus.texts, strict=True):
        assert body
        assert text == join_text([title, body])


def test_pruning_keeps_the_source_tokens_of_frequent_words(source_encoder: Path) -> None:
    source = AutoTokenizer.from_pretrained(source_encoder)
    texts = ["Soft dress, soft dress!", "a soft dress"]
    vocabulary = prune(source, texts, 2)
    assert [vocabulary.tokenizer.token_to_id(token) for token in SPECIAL_TOKENS] == [0, 1, 2, 3, 4]
    assert len(vocabulary) < len(source)
    for token_id, source_id in enumerate(vocabulary.source_ids):
        assert vocabulary.tokenizer.id_to_token(token_id) == source.convert_ids_to_tokens(source_id)
    assert vocabulary.tokenizer.encode("Soft dress").tokens == ["[CLS]", "soft", "dress", "[SEP]"]
    assert vocabulary.tokenizer.token_to_id("neverseen") is None
    assert vocabulary.tokenizer.encode("neverseen").tokens[1] == "n"


def test_augmentation_removes_titles_truncates_and_masks_at_the_configured_rates() -> None:
    config = PretrainingConfig(
        title_keep_prob=0.5, truncate_prob=0.5, min_truncated_length=4, max_truncated_length=6, mask_prob=0.5,
        tokens_per_batch=64,
    )  # fmt: skip
    title, body, n_reviews = [5] * 10, [6] * 30, 200
    augmenter = ReviewAugmenter([title + body] * n_reviews, [body] * n_reviews, config)
    first, second = (list(augmenter.epoch(np.random.default_rng(0))) for _ in range(2))
    assert sorted(np.concatenate([batch.indices for batch in first])) == list(range(n_reviews))
    assert all((one.ids == other.ids).all() for one, other in zip(first, second, strict=True))
    assert all(batch.ids.size <= 64 for batch in first)
    texts = unpadded(first)
    assert 60 < sum(5 in text for text in texts) < 140
    assert 60 < sum(len(text) <= 6 for text in texts) < 140
    tokens = np.concatenate([text[1:-1] for text in texts])
    assert 0.45 < (tokens == SPECIAL_TOKENS.index(MASK)).mean() < 0.55


def unpadded(batches: list[Batch]) -> list[NDArray[np.int64]]:
    return [row[row != 0] for batch in batches for row in batch.ids]


def test_tokens_of_the_same_titles_get_equal_ppmi_embeddings() -> None:
    """Tokens 0 and 1 occur with the title "bad", 2 and 3 with "good", 5 with "fine", 4 with all, and 6 never."""
    titles = title_ngrams(["bad", "good", "fine"] * 20, 5)
    assert titles.indicator.shape == titles.title_distribution.shape == (60, 3)
    np.testing.assert_allclose(titles.title_distribution.sum(1), 1)
    indicator = token_indicator([[0, 1, 4], [2, 3, 3, 4], [5, 4]] * 20, 7)
    assert indicator.max() == 1
    embeddings = ppmi_embeddings(indicator, titles.indicator, 4, 0)
    assert embeddings.shape == (7, 4)
    np.testing.assert_allclose(embeddings[0], embeddings[1], atol=1e-9)
    assert abs(embeddings[0] @ embeddings[2]) < 0.1 * (embeddings[0] @ embeddings[0])
    np.testing.assert_allclose(embeddings[[4, 6]], 0, atol=1e-9)


def test_the_learning_rate_warms_up_for_100_steps_and_decays_to_2_percent() -> None:
    rates = [lr_at(step, 1_000, PretrainingConfig()) for step in range(1_000)]
    assert np.argmax(rates) in range(95, 105)
    assert rates[0] < 0.02 * max(rates)
    assert rates[-1] == pytest.approx(0.02 * PretrainingConfig().learning_rate, rel=0.01)
