"""Raw reviews in; the texts of the train split out, without ratings or labels."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sentiment.common.errors import InputError
from sentiment.data.splitting import SplitParams, assign_split, text_hash
from sentiment.data.text import SEPARATOR, join_text

MIN_TITLES = 100  # an n-gram must occur in 5 titles; with fewer titles than this hardly any does


@dataclass(frozen=True)
class Corpus:
    """Reviews, row by row.

    Attributes:
        titles: without the body; "" where the review has no title.
        bodies: without the title.
        texts: title and body, joined as the pipeline joins them.
    """

    titles: list[str] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def has_title(self) -> NDArray[np.bool_]:
        """Return which reviews have a title. # (n_reviews,)"""
        return np.array([title != "" for title in self.titles])


def read_corpus(chunks: Iterable[pd.DataFrame], text_columns: list[str], params: SplitParams) -> Corpus:
    """Keep the reviews that the stage `split` assigns to `train`, each text once.

    Args:
        chunks: raw rows as strings; only `text_columns` are read.
        text_columns: the last is the body, those before it make up the title.
        params: of the stage `split`.

    Raises:
        InputError: fewer than `MIN_TITLES` of the reviews have a title.
    """
    corpus = Corpus()
    seen: set[int] = set()
    for raw in chunks:
        for fields in raw[text_columns].itertuples(index=False, name=None):
            text = join_text(fields)
            hashed = text_hash(text, params.salt)
            if not text or hashed in seen or assign_split(hashed, params) != "train":
                continue
            seen.add(hashed)
            corpus.titles.append(SEPARATOR.join(value.strip() for value in fields[:-1] if value.strip()))
            corpus.bodies.append(fields[-1].strip())
            corpus.texts.append(text)
    if (n_titles := int(corpus.has_title().sum())) < MIN_TITLES:
        raise InputError(f"{n_titles} training reviews have a title, expected at least {MIN_TITLES}")
    return corpus
