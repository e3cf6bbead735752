"""The command that makes the bundled encoder, with a teacher of random weights, and the encoder that it made."""

import csv
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, PreTrainedTokenizerFast

from sentiment.common.params import load_params
from sentiment.data.csv_chunks import read_chunks
from sentiment.data.splitting import SplitParams as Params
from sentiment.data.splitting import assign_split, text_hash
from sentiment.data.text import join_text
from stages import distill
from tools.pretrain.ppmi import association_factors, piece_presence, title_words
from tools.pretrain.corpus import read_corpus
from tools.pretrain.config import Recipe
from tools.pretrain.training import rate
from tools.pretrain.augmentation import Views
from tools.pretrain.vocabulary import MASK, SPECIAL, prune

ROOT = Path(__file__).parents[2]
SAMPLE, PARAMS, BUNDLED = ROOT / "data/raw/sample.csv", ROOT / "params.yaml", ROOT / "models/encoder"
COLUMNS = ["Title", "Review Text"]
WRITTEN = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "trained_on.npy"]
SPLIT = load_params(PARAMS, "split", Params)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT whose vocabulary is letters and the words of the sample."""
    words = sorted(set(re.findall("[a-z]+", SAMPLE.read_text(encoding="utf-8").lower())))
    letters = [prefix + letter for letter in "abcdefghijklmnopqrstuvwxyz" for prefix in ("", "##")]
    pieces = list(dict.fromkeys([*SPECIAL, *letters, *".,!?'", *words, "neverseen"]))
    tokenizer = Tokenizer(WordPiece({piece: place for place, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = BertNormalizer(), BertPreTokenizer()
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    folder = tmp_path_factory.mktemp("teacher")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(pieces), **shape)).save_pretrained(folder)
    return folder


@pytest.fixture
def made(teacher: Path, command: Callable, tmp_path: Path) -> Callable:
    def call(name: str, *more: object, reviews: Path = SAMPLE) -> tuple:
        arguments = ["--reviews", reviews, "--teacher", teacher, "--out", tmp_path / name, "--params", PARAMS]
        return command(distill.main, *arguments, "--device", "cpu", "--steps", 3, *more), tmp_path / name

    return call


def test_equal_seeds_make_equal_bytes_that_plain_transformers_load(made: Callable) -> None:
    outcome, one = made("one")
    assert outcome.status == 0, outcome.stderr
    (tmp := one.parent / "two").mkdir()
    (tmp / "README.md").write_text("a model card")
    made("two")
    _, other = made("other", "--seed", 1)
    assert sorted(path.name for path in one.iterdir()) == WRITTEN
    for name in WRITTEN:
        assert (one / name).read_bytes() == (tmp / name).read_bytes(), name
    assert (tmp / "README.md").read_text() == "a model card"
    assert (one / "model.safetensors").read_bytes() != (other / "model.safetensors").read_bytes()
    assert sha256((one / "model.safetensors").read_bytes()).hexdigest() in outcome.stderr
    check_loads(one)


def check_loads(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model, report = AutoModel.from_pretrained(
        folder, local_files_only=True, add_pooling_layer=False, dtype=torch.float32, output_loading_info=True
    )
    assert type(model).__name__ == "AlbertModel"
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    tokens = tokenizer(["Love it", "a qwxqzzy dress 😀 \u4e2d", ""], padding=True, return_tensors="pt")
    assert tokenizer.unk_token_id in tokens["input_ids"][1]
    assert len(tokenizer("qwxqzzy")["input_ids"]) > 3, "an unseen word becomes pieces"
    assert torch.isfinite(model(**tokens).last_hidden_state).all()


def test_the_listed_hashes_are_those_of_the_training_texts(made: Callable) -> None:
    check_list(np.load(made("one")[1] / "trained_on.npy"), SAMPLE)


def check_list(listed: np.ndarray, reviews: Path) -> None:
    texts = [
        join_text(parts)
        for chunk in read_chunks(reviews, COLUMNS)
        for parts in chunk.itertuples(index=False, name=None)
    ]
    parts: dict[str, set[int]] = {"train": set(), "val": set(), "test": set()}
    for value in (text_hash(text, SPLIT.salt) for text in texts if text):
        parts[assign_split(value, SPLIT)].add(value)
    assert set(listed.tolist()) == parts["train"]
    assert not set(listed.tolist()) & (parts["val"] | parts["test"])


def test_labels_make_no_difference(made: Callable, tmp_path: Path) -> None:
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with (tmp_path / "texts.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    _, with_labels = made("with")
    outcome, without = made("without", reviews=tmp_path / "texts.csv")
    assert outcome.status == 0, outcome.stderr
    for name in WRITTEN:
        assert (with_labels / name).read_bytes() == (without / name).read_bytes(), name


def test_the_bundled_encoder_loads_and_is_small() -> None:
    check_loads(BUNDLED)
    assert sum(path.stat().st_size for path in BUNDLED.iterdir()) <= 5_000_000


def test_the_bundled_encoder_lists_training_texts_only() -> None:
    listed = np.load(BUNDLED / "trained_on.npy")
    assert len(listed) > 10_000
    assert {assign_split(int(value), SPLIT) for value in listed} == {"train"}


def test_the_bundled_encoder_lists_the_real_training_texts(reviews_csv: Path) -> None:
    check_list(np.load(BUNDLED / "trained_on.npy"), reviews_csv)


def test_the_model_card_is_of_these_weights() -> None:
    assert sha256((BUNDLED / "model.safetensors").read_bytes()).hexdigest() in (BUNDLED / "README.md").read_text()


def test_the_corpus_holds_each_training_text_once(tmp_path: Path) -> None:
    corpus = read_corpus(read_chunks(SAMPLE, COLUMNS), COLUMNS, SPLIT)
    assert len(set(corpus.hashes)) == len(corpus.hashes) == len(corpus.texts)
    for title, body, text in zip(corpus.titles, corpus.bodies, corpus.texts, strict=True):
        assert body
        assert text == join_text([title, body])
    assert (np.diff(corpus.sorted_hashes().astype(np.float64)) >= 0).all()


def test_pruning_keeps_the_teachers_pieces_for_words_in_use(teacher: Path) -> None:
    whole = AutoTokenizer.from_pretrained(teacher)
    texts = ["Soft dress, soft dress!", "a soft dress"]
    vocabulary = prune(whole, texts, 2)
    assert [vocabulary.tokenizer.token_to_id(piece) for piece in SPECIAL] == [0, 1, 2, 3, 4]
    assert len(vocabulary) < len(whole)
    for ours, theirs in enumerate(vocabulary.teacher_ids):
        assert vocabulary.tokenizer.id_to_token(ours) == whole.convert_ids_to_tokens(theirs)
    assert vocabulary.tokenizer.encode("Soft dress").tokens == ["[CLS]", "soft", "dress", "[SEP]"]
    assert vocabulary.tokenizer.token_to_id("neverseen") is None
    assert vocabulary.tokenizer.encode("neverseen").tokens[1] == "n"


def test_views_hide_titles_and_tokens_and_cut() -> None:
    recipe = Recipe(title_shown=0.5, cut_short=0.5, shortest=4, short=6, masked=0.5, tokens_per_batch=64)
    texts, bodies = [[5] * 10 + [6] * 30 for _ in range(200)], [[6] * 30 for _ in range(200)]
    drawn = [list(Views(texts, bodies, recipe).epoch(np.random.default_rng(0))) for _ in range(2)]
    assert sorted(np.concatenate([batch.reviews for batch in drawn[0]])) == list(range(200))
    assert all((one.ids == other.ids).all() for one, other in zip(*drawn, strict=True))
    assert all(batch.ids.size <= 64 for batch in drawn[0])
    rows = [row[row != 0] for batch in drawn[0] for row in batch.ids]
    assert 60 < sum(5 in row for row in rows) < 140
    assert 60 < sum(len(row) <= 6 for row in rows) < 140
    shown = np.concatenate([row[1:-1] for row in rows])
    assert 0.45 < (shown == SPECIAL.index(MASK)).mean() < 0.55


def test_words_of_a_feather_get_alike_vectors() -> None:
    """Pieces 0 and 1 go with the title "bad", 2 and 3 with "good", 5 with "fine", 4 with all, and 6 is nowhere."""
    titles = title_words(["bad", "good", "fine"] * 20, 5)
    assert titles.present.shape == titles.shares.shape == (60, 3)
    np.testing.assert_allclose(titles.shares.sum(1), 1)
    presence = piece_presence([[0, 1, 4], [2, 3, 3, 4], [5, 4]] * 20, 7)
    assert presence.max() == 1
    factors = association_factors(presence, titles.present, 4, 0)
    assert factors.shape == (7, 4)
    np.testing.assert_allclose(factors[0], factors[1], atol=1e-9)
    assert abs(factors[0] @ factors[2]) < 0.1 * (factors[0] @ factors[0])
    np.testing.assert_allclose(factors[[4, 6]], 0, atol=1e-9)


def test_the_rate_warms_up_and_decays() -> None:
    rates = [rate(step, 1_000, Recipe()) for step in range(1_000)]
    assert np.argmax(rates) in range(95, 105)
    assert rates[0] < 0.02 * max(rates)
    assert rates[-1] == pytest.approx(0.02 * Recipe.learning_rate, rel=0.01)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--teacher", "no-such-teacher"], "teacher 'no-such-teacher' is no folder and no installed package"),
        (["--teacher", ROOT / "tests"], "config.json: no such file"),
        (["--steps", 0], "must be above 0"),
        (["--reviews", ROOT / "none.csv"], "none.csv: no such file"),
    ],
)
def test_errors_are_one_line(made: Callable, more: list[object], message: str) -> None:
    outcome, folder = made("none", *more)
    assert outcome.status == 1
    assert message in outcome.stderr
    assert "\n" not in outcome.stderr
    assert not folder.exists()


def test_too_few_titles_are_refused(made: Callable, tmp_path: Path) -> None:
    lines = [f",Nice and soft number {number}" for number in range(300)]
    (tmp_path / "untitled.csv").write_text("\n".join(["Title,Review Text", *lines]) + "\n", newline="\n")
    outcome, _ = made("none", reviews=tmp_path / "untitled.csv")
    assert outcome.status == 1
    assert "0 training reviews have a title, expected at least 100" in outcome.stderr
