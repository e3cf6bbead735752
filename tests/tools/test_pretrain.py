"""`python -m tools.pretrain` with a source encoder of random weights, and what pretraining is made of."""

import csv
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from transformers import AutoTokenizer, BertConfig, PreTrainedTokenizerFast

from sentiment.common.command import run_main
from sentiment.data.text import hash_texts, join_text
from tests.command_call import call_command
from tests.project import ROOT
from tests.random_encoders import random_model
from tests.tools.encoder_checks import (
    COLUMNS,
    PARAMS,
    SAMPLE,
    SPLIT_PARAMS,
    assert_lists_train_split,
    assert_loads_with_transformers,
)
from tools.pretrain import __main__ as command
from tools.pretrain.config import PretrainingConfig
from tools.pretrain.corpus import MASK, SPECIAL_TOKENS, Batch, ReviewAugmenter, prune, read_corpus
from tools.pretrain.ppmi import ppmi_embeddings, title_ngrams, token_indicator
from tools.pretrain.training import lr_at

WRITTEN = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "trained_on.npy"]
RunPretrain = Callable[..., tuple[int, str, Path]]


@pytest.fixture(scope="module")
def source_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT whose vocabulary is letters and the words of the sample."""
    words = sorted(set(re.findall("[a-z]+", SAMPLE.read_text(encoding="utf-8").lower())))
    letters = [prefix + letter for letter in "abcdefghijklmnopqrstuvwxyz" for prefix in ("", "##")]
    tokens = list(dict.fromkeys([*SPECIAL_TOKENS, *letters, *".,!?'", *words, "neverseen"]))
    tokenizer = Tokenizer(WordPiece({token: token_id for token_id, token in enumerate(tokens)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = BertNormalizer(), BertPreTokenizer()
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    folder = tmp_path_factory.mktemp("source_encoder")
    PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, **dict(zip(names, SPECIAL_TOKENS, strict=True))
    ).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(tokens), hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    random_model(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    """A third of the sample."""
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))[:700]


def write_csv(path: Path, rows: list[dict[str, str]], columns: list[str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def run_pretrain(
    source_encoder: Path, rows: list[dict[str, str]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> RunPretrain:
    """Run three steps of pretraining into a folder of `tmp_path`; later arguments override earlier ones."""
    reviews = write_csv(tmp_path / "reviews.csv", rows, list(rows[0]))

    def call(name: str, *more: object) -> tuple[int, str, Path]:
        arguments = ["--reviews", reviews, "--source-encoder", source_encoder, "--out", tmp_path / name]
        arguments += ["--params", PARAMS, "--device", "cpu", "--steps", 3, *more]
        return *call_command(lambda: run_main(lambda: command.main(list(map(str, arguments)))), caplog), tmp_path / name

    return call


def test_equal_seeds_and_texts_give_equal_bytes_with_and_without_ratings(
    run_pretrain: RunPretrain, rows: list[dict[str, str]], tmp_path: Path
) -> None:
    status, stderr, first = run_pretrain("first")
    assert status == 0, stderr
    assert sorted(path.name for path in first.iterdir()) == WRITTEN
    weights = (first / "model.safetensors").read_bytes()
    assert sha256(weights).hexdigest() in stderr
    assert_loads_with_transformers(first)
    assert_lists_train_split(np.load(first / "trained_on.npy"), tmp_path / "reviews.csv")

    without_ratings = write_csv(tmp_path / "texts.csv", rows, COLUMNS)
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "README.md").write_text("a model card")
    status, stderr, second = run_pretrain("second", "--reviews", without_ratings)
    assert status == 0, stderr
    for name in WRITTEN:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    assert (second / "README.md").read_text() == "a model card"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--source-encoder", "no-such"], "'no-such' is not a folder and not an installed package with an encoder"),
        (["--source-encoder", ROOT / "tests"], "config.json: no such file"),
        (["--steps", 0], "must be above 0"),
        (["--reviews", ROOT / "none.csv"], "none.csv: No such file"),
    ],
)
def test_invalid_arguments_are_refused_in_one_line(run_pretrain: RunPretrain, more: list[object], message: str) -> None:
    status, stderr, folder = run_pretrain("encoder", *more)
    assert status == 1
    assert message in stderr
    assert "\n" not in stderr
    assert not folder.exists()


def test_another_split_than_that_by_text_is_refused(run_pretrain: RunPretrain, tmp_path: Path) -> None:
    params = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    params["split"]["group_column"] = "Clothing ID"
    (tmp_path / "grouped.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    status, stderr, _ = run_pretrain("encoder", "--params", tmp_path / "grouped.yaml")
    assert status == 1
    assert "split.group_column is 'Clothing ID', expected null: pretraining reads a split by text" in stderr


def test_reviews_without_titles_are_refused(run_pretrain: RunPretrain, tmp_path: Path) -> None:
    lines = [f",Nice and soft number {number}" for number in range(300)]
    (tmp_path / "untitled.csv").write_text("\n".join(["Title,Review Text", *lines]) + "\n", newline="\n")
    status, stderr, _ = run_pretrain("encoder", "--reviews", tmp_path / "untitled.csv")
    assert status == 1
    assert "0 training reviews have a title, expected at least 100" in stderr


def test_the_corpus_has_each_training_text_once() -> None:
    corpus = read_corpus([pd.read_csv(SAMPLE, dtype="str", keep_default_na=False)], COLUMNS, SPLIT_PARAMS)
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
