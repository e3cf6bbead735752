"""`sentiment pretrain` with a source encoder of random weights, and the bundled encoder that it made."""

import csv
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, PreTrainedTokenizerFast

from sentiment.cli import app
from sentiment.common.params import load_params
from sentiment.common.text_hash import hash_texts, read_seen_texts
from sentiment.data.csv_chunks import read_chunks
from sentiment.data.splitting import SplitParams, assign_split, text_hash
from sentiment.data.text import join_text
from tools.pretrain.augmentation import Batch, ReviewAugmenter
from tools.pretrain.config import PretrainingConfig
from tools.pretrain.corpus import read_corpus
from tools.pretrain.ppmi import ppmi_embeddings, title_ngrams, token_indicator
from tools.pretrain.training import lr_at
from tools.pretrain.vocabulary import MASK, SPECIAL_TOKENS, prune

ROOT = Path(__file__).parents[2]
SAMPLE, PARAMS, BUNDLED = (
    ROOT / "data/raw/sample.csv",
    ROOT / "tests/defaults/params.yaml",
    ROOT / "models/encoders/bundled",
)
COLUMNS = ["Title", "Review Text"]
WRITTEN = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "trained_on.npy"]
SPLIT_PARAMS = load_params(PARAMS, "split", SplitParams)


@dataclass(frozen=True)
class PretrainRun:
    """How `sentiment pretrain` ended, and the folder that it was to write."""

    status: int
    stderr: str
    folder: Path


RunPretrain = Callable[..., PretrainRun]


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
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokens), hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture
def run_pretrain(
    source_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> RunPretrain:
    """Run three steps of pretraining into a folder of `tmp_path`; later arguments override earlier ones."""

    def call(name: str, *more: object, reviews: Path = SAMPLE) -> PretrainRun:
        monkeypatch.chdir(ROOT)
        caplog.set_level(logging.INFO)
        caplog.clear()
        folder = tmp_path / name
        arguments = ["pretrain", "--reviews", reviews, "--source-encoder", source_encoder, "--out", folder]
        arguments += ["--params", PARAMS, "--device", "cpu", "--steps", 3, *more]
        with pytest.raises(SystemExit) as ended:
            app.main([str(argument) for argument in arguments])
        return PretrainRun(int(ended.value.code or 0), "\n".join(caplog.messages), folder)

    return call


def test_equal_seeds_give_equal_bytes_and_another_seed_other_weights(run_pretrain: RunPretrain, tmp_path: Path) -> None:
    first = run_pretrain("first")
    assert first.status == 0, first.stderr
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "README.md").write_text("a model card")
    second, other = run_pretrain("second"), run_pretrain("other", "--seed", 1)
    assert sorted(path.name for path in first.folder.iterdir()) == WRITTEN
    for name in WRITTEN:
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes(), name
    assert (second.folder / "README.md").read_text() == "a model card"
    weights = (first.folder / "model.safetensors").read_bytes()
    assert weights != (other.folder / "model.safetensors").read_bytes()
    assert sha256(weights).hexdigest() in first.stderr
    assert_loads_with_transformers(first.folder)


def assert_loads_with_transformers(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model, report = AutoModel.from_pretrained(
        folder, local_files_only=True, add_pooling_layer=False, dtype=torch.float32, output_loading_info=True
    )
    assert type(model).__name__ == "AlbertModel"
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    tokens = tokenizer(["Love it", "a qwxqzzy dress 😀 \u4e2d", ""], padding=True, return_tensors="pt")
    assert tokenizer.unk_token_id in tokens["input_ids"][1]
    assert len(tokenizer("qwxqzzy")["input_ids"]) > 3, "an unseen word is split into shorter tokens"
    assert torch.isfinite(model(**tokens).last_hidden_state).all()


def test_trained_on_lists_the_hashes_of_the_train_split(run_pretrain: RunPretrain) -> None:
    assert_lists_train_split(np.load(run_pretrain("encoder").folder / "trained_on.npy"), SAMPLE)


def assert_lists_train_split(listed: NDArray[np.uint64], reviews: Path) -> None:
    texts = [
        join_text(fields)
        for chunk in read_chunks(reviews, COLUMNS)
        for fields in chunk.itertuples(index=False, name=None)
    ]
    by_split: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for text in filter(None, texts):
        by_split[assign_split(text_hash(text, SPLIT_PARAMS.salt), SPLIT_PARAMS)].append(text)
    hashes = {split: set(hash_texts(texts_of_split).tolist()) for split, texts_of_split in by_split.items()}
    assert set(listed.tolist()) == hashes["train"]
    assert not set(listed.tolist()) & (hashes["val"] | hashes["test"])


def test_a_file_without_ratings_gives_the_same_bytes(run_pretrain: RunPretrain, tmp_path: Path) -> None:
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with (tmp_path / "texts.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    with_ratings = run_pretrain("with_ratings")
    without = run_pretrain("without", reviews=tmp_path / "texts.csv")
    assert without.status == 0, without.stderr
    for name in WRITTEN:
        assert (with_ratings.folder / name).read_bytes() == (without.folder / name).read_bytes(), name


def test_the_bundled_encoder_loads_and_has_at_most_5_mb() -> None:
    assert_loads_with_transformers(BUNDLED)
    assert sum(path.stat().st_size for path in BUNDLED.iterdir()) <= 5_000_000


def test_the_bundled_encoder_lists_its_texts_in_ascending_order_each_once() -> None:
    listed = read_seen_texts(BUNDLED)
    assert len(listed) == 18_035
    assert (listed[1:] > listed[:-1]).all()


def test_the_bundled_encoder_lists_the_train_split_of_the_real_reviews(reviews_csv: Path) -> None:
    assert_lists_train_split(np.load(BUNDLED / "trained_on.npy"), reviews_csv)


def test_the_model_card_names_the_sha256_of_the_weights() -> None:
    assert sha256((BUNDLED / "model.safetensors").read_bytes()).hexdigest() in (BUNDLED / "README.md").read_text()


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


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--source-encoder", "no-such"], "source encoder 'no-such' is not a folder and not an installed package"),
        (["--source-encoder", ROOT / "tests"], "config.json: no such file"),
        (["--steps", 0], "must be above 0"),
        (["--reviews", ROOT / "none.csv"], "none.csv: no such file"),
    ],
)
def test_invalid_arguments_are_refused_in_one_line(run_pretrain: RunPretrain, more: list[object], message: str) -> None:
    outcome = run_pretrain("encoder", *more)
    assert outcome.status == 1
    assert message in outcome.stderr
    assert "\n" not in outcome.stderr
    assert not outcome.folder.exists()


def test_reviews_without_titles_are_refused(run_pretrain: RunPretrain, tmp_path: Path) -> None:
    lines = [f",Nice and soft number {number}" for number in range(300)]
    (tmp_path / "untitled.csv").write_text("\n".join(["Title,Review Text", *lines]) + "\n", newline="\n")
    outcome = run_pretrain("encoder", reviews=tmp_path / "untitled.csv")
    assert outcome.status == 1
    assert "0 training reviews have a title, expected at least 100" in outcome.stderr
