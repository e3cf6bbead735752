"""`python -m tools.encoder` with a teacher of random weights, and what its training is made of."""

import re
import shutil
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from transformers import BertConfig, PreTrainedTokenizerFast

from sentiment.behavior.suite import MAX_CASES, cases
from sentiment.behavior.templates import KINDS
from sentiment.common.command import run_main
from sentiment.common.errors import EncoderError
from sentiment.data.text import hash_texts, normalize_text
from tests.command_call import call_command
from tests.project import ROOT, SAMPLE
from tests.random_encoders import random_model
from tests.tools.encoder_checks import assert_loads_with_transformers
from tools.encoder import __main__ as command
from tools.encoder.corpus import SPECIAL_TOKENS, Ids, is_held_out, prune, read_texts, tokenize_sentences
from tools.encoder.opinion import named_rating, opinions
from tools.encoder.phrases import write_opinions
from tools.encoder.training import Piece, Pieces, Settings, build_student, first_position

WRITTEN = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "trained_on.npy"]
RunEncoder = Callable[..., tuple[int, str, Path]]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Reviews of the sample, some of which name a rating."""
    ratings = ("9/10.", "I say 2 out of 10.", "", "")
    reviews = pd.read_csv(ROOT / SAMPLE)["Review Text"].dropna().tolist()[:200]
    return [f"{review} {ratings[number % len(ratings)]}".strip() for number, review in enumerate(reviews)]


@pytest.fixture(scope="module")
def teacher(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT whose vocabulary is letters and the words of the sample."""
    words = sorted(set(re.findall("[a-z]+", " ".join(texts).lower())))
    letters = [prefix + letter for letter in "abcdefghijklmnopqrstuvwxyz" for prefix in ("", "##")]
    tokens = list(dict.fromkeys([*SPECIAL_TOKENS, *letters, *".,!?'", *words, "neverseen"]))
    tokenizer = Tokenizer(WordPiece({token: number for number, token in enumerate(tokens)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = BertNormalizer(), BertPreTokenizer()
    folder = tmp_path_factory.mktemp("teacher")
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, **dict(zip(names, SPECIAL_TOKENS, strict=True))
    ).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(tokens), hidden_size=160, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    random_model(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three files that are read, the labels and ratings of which are no numbers."""
    folder = tmp_path_factory.mktemp("public")
    films = pd.DataFrame({"split": ["train"] * 90 + ["test"] * 10, "rating": "unread", "text": texts[:100]})
    films.to_parquet(folder / "imdb.parquet")
    pd.DataFrame({"text": texts[100:150]}).to_parquet(folder / "imdb_unlabeled.parquet")
    products = pd.DataFrame({"domain": "books", "rating": "unread", "title": "A title", "text": texts[150:]})
    products.to_parquet(folder / "amazon4.parquet")
    return folder


@pytest.fixture
def run_encoder(
    teacher: Path,
    folder: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> RunEncoder:
    """Run three steps into a folder of `tmp_path`; later arguments override earlier ones."""
    monkeypatch.setattr(command, "N_WRITTEN", 200)  # as many as there are reviews

    def call(name: str, *more: object) -> tuple[int, str, Path]:
        arguments = ["--texts", folder, "--teacher", teacher, "--out", tmp_path / name, "--steps", 3, *more]
        return *call_command(lambda: run_main(lambda: command.main(list(map(str, arguments)))), caplog), tmp_path / name

    return call


def test_equal_texts_give_equal_bytes_and_no_label_is_read(
    run_encoder: RunEncoder, texts: list[str], tmp_path: Path
) -> None:
    status, stderr, first = run_encoder("first")
    assert status == 0, stderr
    assert sorted(path.name for path in first.iterdir()) == WRITTEN
    assert sha256((first / "model.safetensors").read_bytes()).hexdigest() in stderr
    assert_loads_with_transformers(first)
    read = [text for text in texts[:90] if not is_held_out(text)] + texts[100:150]
    read += [f"A title. {text}" for text in texts[150:]]
    assert set(np.load(first / "trained_on.npy").tolist()) == set(hash_texts(read).tolist())
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "README.md").write_text("a model card")
    _, _, second = run_encoder("second")
    for name in WRITTEN:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    assert (second / "README.md").read_text() == "a model card"


def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(
    run_encoder: RunEncoder, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, _, whole = run_encoder("whole")
    monkeypatch.setattr("tools.encoder.training.CHECKPOINT_STEPS", 2)

    def stop(*arguments: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(command, "export", stop)
        run_encoder("stopped")
    assert len([*tmp_path.glob(".stopped.*.checkpoint")]) == 1
    read = read_texts(folder)
    with monkeypatch.context() as patch:  # weights of other texts would be hidden in what trained_on.npy lists
        patch.setattr(command, "read_texts", lambda path: {name: texts[:-1] for name, texts in read.items()})
        assert "goes on from step" not in run_encoder("stopped")[1]
        shutil.rmtree(tmp_path / "stopped")
    _, stderr, stopped = run_encoder("stopped")
    assert "goes on from step 2" in stderr
    assert (stopped / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert not [*tmp_path.glob(".stopped.*.checkpoint")]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--teacher", "no-such"], "'no-such' is not a folder and not an installed package with an encoder"),
        (["--texts", ROOT / "tests"], "imdb.parquet: no such file; expected imdb, imdb_unlabeled, amazon4 as Parquet"),
    ],
)
def test_invalid_arguments_are_refused_in_one_line(run_encoder: RunEncoder, more: list[object], message: str) -> None:
    status, stderr, folder = run_encoder("encoder", *more)
    assert status == 1
    assert message in stderr
    assert not folder.exists()


def test_a_pruned_vocabulary_keeps_characters_and_the_most_frequent_tokens(teacher: Path) -> None:
    source = Tokenizer.from_file(str(teacher / "tokenizer.json"))
    a, b, c = sorted(token for token in source.get_vocab() if len(token) > 5 and token.isalpha())[:3]
    n_letters = 2 * 26 + 5
    size = len(SPECIAL_TOKENS) + n_letters + 2
    tokenizer, source_ids = prune(source, Counter({a: 1, b: 2, c: 3}), size, {})
    assert len(source_ids) == size
    encoding = tokenizer.encode(f"{a} {b} {c}")
    assert {token for token in encoding.tokens if len(token.removeprefix("##")) > 1} - set(SPECIAL_TOKENS) == {b, c}
    assert [source.id_to_token(source_ids[token]) for token in encoding.ids] == encoding.tokens


def test_an_emoji_stands_for_a_word_of_the_teacher(teacher: Path) -> None:
    source = Tokenizer.from_file(str(teacher / "tokenizer.json"))
    tokenizer, source_ids = prune(source, Counter(), 100, {"👍": "love", "👎": "no such word"})
    ids = tokenizer.encode("a👍 👍👍 👎", add_special_tokens=False).ids
    assert [tokenizer.id_to_token(token) for token in ids] == ["a", "##👍", "👍", "##👍", "[UNK]"]
    assert [source.id_to_token(source_ids[token]) for token in ids] == ["a", "love", "love", "love", "[UNK]"]


def test_written_opinions_are_balanced_and_none_is_a_behavioral_test() -> None:
    written = write_opinions(4_000, seed=0)
    assert written == write_opinions(4_000, seed=0)
    assert abs(np.mean([one.opinion for one in written])) < 0.1
    tested = {normalize_text(case.text) for kind in KINDS for case in cases(kind, seed=0, n=MAX_CASES)}
    assert not tested & {normalize_text(one.text) for one in written}


def test_an_unlabeled_review_that_judges_is_left_out(folder: Path, texts: list[str], tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    judge = texts[95]  # of the test part
    pd.DataFrame({"text": ["An unlabeled one", judge.upper()]}).to_parquet(tmp_path / "imdb_unlabeled.parquet")
    assert read_texts(tmp_path)["imdb_unlabeled"] == ["An unlabeled one"]


def test_pieces_are_runs_of_sentences_and_a_swap_changes_some_tokens(teacher: Path, texts: list[str]) -> None:
    tokenizer = Tokenizer.from_file(str(teacher / "tokenizer.json"))
    sentences = tokenize_sentences(tokenizer, texts)
    settings = Settings(tokens_per_batch=256, swap_probability=0.0, max_length=40)
    swappable = np.array([7], np.int32)
    opinions = list(range(len(sentences)))  # the number of each review
    batches = list(islice(Pieces(sentences, opinions, settings, swappable).batches(), 20))
    again = list(islice(Pieces(sentences, opinions, settings, swappable).batches(), 20))
    for batch, same in zip(batches, again, strict=True):
        assert all(np.array_equal(a.ids, b.ids) for a, b in zip(batch, same, strict=True))
        assert len(batch) == 1 or len(batch) * max(len(piece.ids) for piece in batch) <= 256
    whole = [as_text(np.concatenate(one)) for one in sentences]
    for piece in batches[0]:
        assert (piece.ids[0], piece.ids[-1], len(piece.ids) <= 40) == (2, 3, True)
        assert as_text(piece.ids[1:-1]) in whole[int(piece.opinion)]
    swapping = Settings(tokens_per_batch=256, swap_probability=0.5, max_length=40)
    swapped = Pieces(sentences, opinions, swapping, swappable)
    share = np.mean([np.mean(piece.ids == 7) for batch in islice(swapped.batches(), 20) for piece in batch])
    assert 0.15 < share < 0.3  # half of the tokens of half of the pieces, but for the special ones


def as_text(ids: Ids) -> str:
    return ",".join(map(str, ids.tolist()))


@pytest.mark.parametrize(
    ("text", "out_of_five", "expected"),
    [
        ("Great fun, 9/10!", False, True),
        ("I give it 7.5 out of ten", False, True),
        ("3/10", False, False),
        ("0 out of 10", False, False),
        ("so so, 5/10", False, None),  # neither
        ("the first 9/10, the second 3/10", False, None),  # both
        ("11/10", False, None),  # beyond the scale
        ("on 9/10/2005", False, None),  # a date
        ("5 stars", True, True),
        ("One star.", True, False),
        ("two out of 5 stars", True, False),
        ("4 stars", False, None),  # of four, or of five
        ("an all-star cast", True, None),
    ],
)
def test_a_rating_that_a_text_names_is_an_opinion(text: str, out_of_five: bool, expected: bool | None) -> None:
    assert named_rating(text, out_of_five) is expected


def test_opinions_come_from_the_words_of_those_who_name_a_rating() -> None:
    texts = [*["lovely warm 9/10"] * 4, *["scratchy thin 2/10"] * 4, "lovely and warm", "thin and scratchy", "blue"]
    found = opinions(texts, [False] * len(texts), min_texts=1)
    assert abs(found.mean()) < 1e-6
    assert abs(found.std() - 1) < 1e-6
    assert found[-3] > found[-1] > found[-2]
    with pytest.raises(EncoderError, match="no text names a good rating such as 9/10, or none a bad one"):
        opinions(texts[:4], [False] * 4, min_texts=1)


def test_a_student_starts_as_static_vectors() -> None:
    settings = Settings(max_positions=16, embedding_size=8, hidden_size=16, n_heads=2, intermediate_size=32)
    torch.manual_seed(0)
    model = build_student(settings, torch.randn(20, 8)).train(False)
    with torch.no_grad():
        alone = model(input_ids=torch.tensor([[7, 8, 9]])).last_hidden_state
        others = model(input_ids=torch.tensor([[7, 12, 13]])).last_hidden_state
    torch.testing.assert_close(alone[0, 0], others[0, 0])  # the same token at the same place, beside others
    assert not torch.allclose(alone[0, 1], others[0, 1])


def test_the_first_position_is_mostly_0_and_leaves_room_for_the_longest_piece() -> None:
    settings = Settings(max_positions=64, shift_probability=0.25)
    batch = [Piece(np.zeros(60, np.int32), 0.0), Piece(np.zeros(9, np.int32), 0.0)]
    firsts = [first_position(batch, step, settings) for step in range(400)]
    assert set(firsts) == set(range(5))
    assert 0.7 < firsts.count(0) / 400 < 0.9  # three quarters, and a fifth of the others
    assert firsts == [first_position(batch, step, settings) for step in range(400)]
