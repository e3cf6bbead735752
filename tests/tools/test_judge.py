"""`python -m tools.judge` on small sets that two words decide."""

from pathlib import Path

import pandas as pd
import pytest

from tests.project import BUNDLED
from tools.encoder.corpus import is_held_out
from tools.judge import KINDS, SENTENCES, choice, imdb, main

N = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sets, each with as many good texts as bad ones."""
    folder = tmp_path_factory.mktemp("public")
    words = ("wonderful and lovely", "terrible and poor")
    texts = [f"number {row} is {words[row % 2]}" for row in range(40 * N)]
    for start, name in enumerate((*SENTENCES, "rt_polarity")):
        part = texts[start * N : (start + 1) * N]
        pd.DataFrame({"text": part, "label": [1, 0] * (N // 2)}).to_parquet(folder / f"{name}.parquet")
    films = pd.DataFrame({"text": texts, "rating": [9, 2] * (20 * N), "split": ["train"] * 30 * N + ["test"] * 10 * N})
    films.to_parquet(folder / "imdb.parquet")
    kinds = [kind for kind in ("books", "dvd", "electronics", "kitchen") for _ in range(N)]
    products = pd.DataFrame({"domain": kinds, "title": None, "text": texts[: 4 * N], "rating": [5, 1] * (2 * N)})
    products.to_parquet(folder / "amazon4.parquet")
    return folder


@pytest.mark.parametrize("kind", ["sentences", pytest.param("domains", marks=pytest.mark.slow)])
def test_it_prints_a_row_for_tfidf_and_for_each_encoder(
    folder: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(folder), str(BUNDLED), "--on", kind, "--max-length", "32"])
    title, _, header, _, tfidf, encoder, *_ = capsys.readouterr().out.splitlines()
    names = [task.name for task in KINDS[kind](folder)]
    assert title == kind
    assert header.strip("| ").split(" | ") == [*names, "mean"]
    for row, name in ((tfidf, "tfidf"), (encoder, "reviews-albert")):
        first, *accuracies = row.strip("| ").split(" | ")
        assert first == name
        assert len(accuracies) == len(names) + 1
        assert all(float(value) > 0.9 for value in accuracies)


def test_films_to_choose_by_and_to_train_on_are_those_that_no_encoder_read(folder: Path) -> None:
    films = list(choice(folder))[1]
    assert all(map(is_held_out, films.texts))
    assert 0.05 < len(films.texts) / (30 * N) < 0.2
    [judged] = imdb(folder)
    [(train, test)] = judged.splits
    assert {judged.texts[row] for row in train} == set(films.texts)
    assert len(test) == 10 * N
