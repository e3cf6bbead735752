"""Near duplicates of train: the MinHash values are those of datasketch, and a sample is chosen by the texts alone."""

import random

import numpy as np
import pytest
from datasketch import MinHash

from sentiment.data import splitting
from sentiment.data.splitting import NearDuplicates, least_window_hashes, min_hashes, mix, shingle_hashes

TEXTS = [
    "A soft dress, warm and light.", "Fine", "", "日本 👗", "Soft " * 40,
    "It fell apart after a day. I sent it back, and nobody ever answered me.",
]  # fmt: skip


def unmix(values: np.ndarray[tuple[int], np.dtype[np.uint32]]) -> list[int]:
    """Return what `mix` makes the values from: datasketch mixes them itself."""
    inverses = np.uint32(pow(0xC2B2AE35, -1, 2**32)), np.uint32(pow(0x85EBCA6B, -1, 2**32))
    values = (values ^ (values >> np.uint32(16))) * inverses[0]
    values = values ^ (values >> np.uint32(13)) ^ (values >> np.uint32(26))
    values = values * inverses[1]
    values = values ^ (values >> np.uint32(16))
    return [int(value) for value in values]


def test_the_values_are_those_of_datasketch() -> None:
    shingles, starts = shingle_hashes(TEXTS)
    values = min_hashes(shingles, starts)
    for one, row in zip(np.split(shingles, starts[1:]), values, strict=True):
        before = unmix(one)
        assert (mix(np.array(before, np.uint32)) == one).all()
        reference = MinHash(num_perm=60, hashfunc=int)
        reference.update_batch(before)
        assert (reference.hashvalues == row).all()


def test_the_hashes_of_a_text_do_not_depend_on_the_texts_beside_it() -> None:
    shingles, starts = shingle_hashes(TEXTS)
    for text, one in zip(TEXTS, np.split(shingles, starts[1:]), strict=True):
        assert (shingle_hashes([text])[0] == one).all()
    filled = [text for text in TEXTS if text]
    assert [least_window_hashes([text])[0] for text in filled] == least_window_hashes(filled).tolist()


def test_case_white_space_and_punctuation_do_not_count() -> None:
    one, _ = shingle_hashes(["A soft dress, warm and light."])
    other, _ = shingle_hashes(["a  SOFT dress; warm and light"])
    assert one.tolist() == other.tolist()
    assert len(one) == 6


def long_text(rng: random.Random) -> list[str]:
    return [f"w{rng.randrange(5_000)}" for _ in range(80)]


def test_reviews_with_a_near_duplicate_in_train_are_counted() -> None:
    rng = random.Random(0)
    texts = [long_text(rng) for _ in range(300)]
    # of every text, a copy with two of its words exchanged: 74 of 86 shingles are shared
    copies = [[*text[:20], text[21], text[20], *text[22:]] for text in texts]
    counter = NearDuplicates(900)
    counter.add([" ".join(text) for text in texts], np.zeros(300, np.uint8))
    counter.add([" ".join(text) for text in copies], np.full(300, 1, np.uint8))
    counter.add([" ".join(long_text(rng)) for _ in range(300)], np.full(300, 2, np.uint8))
    counts = counter.counts()
    assert counts["test"] == (300, 0)
    assert counts["val"][0] == 300
    assert counts["val"][1] > 240


def test_rows_that_are_left_out_do_not_count() -> None:
    counter = NearDuplicates(4)
    counter.add(["Soft and warm", "Torn", "Soft and warm!", "Soft and warm"], np.array([0, 1, 2, 3], np.uint8))
    counter.add([], np.empty(0, np.uint8))
    assert counter.counts() == {"val": (1, 0), "test": (1, 1)}


def test_nothing_to_look_at() -> None:
    assert NearDuplicates(0).counts() == {"val": (0, 0), "test": (0, 0)}


def test_near_duplicates_are_chosen_for_a_sample_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "MAX_COMPARED", 1_000)
    rng = random.Random(0)
    texts = [" ".join(long_text(rng)) for _ in range(5_000)]
    splits = np.tile(np.array([0, 1], np.uint8), 5_000)
    pairs = [text for one in texts for text in (one, one + " Indeed")]
    counter = NearDuplicates(len(pairs))
    counter.add(pairs, splits)
    n_checked, n_near = counter.counts()["val"]
    assert counter.is_sample
    assert 400 < n_checked < 600
    assert n_near > 0.9 * n_checked
    again = NearDuplicates(len(pairs))
    again.add(pairs[5_000:], splits[5_000:])
    again.add(pairs[:5_000], splits[:5_000])
    assert again.counts() == counter.counts()
