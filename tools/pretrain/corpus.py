"""The texts that the bundled encoder may learn from: those of the split's `train`, and nothing but text."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sentiment.common.errors import InputError
from sentiment.data.splitting import SplitParams, assign_split, text_hash
from sentiment.data.text import SEPARATOR, join_text

MIN_TITLES = 100  # below this there is nothing to count


@dataclass(frozen=True)
class Corpus:
    """Reviews row by row; `titles[i]` is "" where the review has none.

    Attributes:
        titles: without the body.
        bodies: without the title.
        texts: both, joined as the pipeline joins them.
        hashes: the 64-bit numbers by which the split dealt the texts into `train`.
    """

    titles: list[str] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    hashes: list[int] = field(default_factory=list)

    def titled(self) -> NDArray[np.bool_]:
        """Tell which reviews have a title."""
        return np.array([title != "" for title in self.titles])

    def sorted_hashes(self) -> NDArray[np.uint64]:
        """Return the hashes in ascending order, so that their order says nothing about the reviews'."""
        return np.sort(np.array(self.hashes, dtype="<u8"))


def read_corpus(chunks: Iterable[pd.DataFrame], text_columns: list[str], split: SplitParams) -> Corpus:
    """Keep the reviews that the split puts into `train`, each text once.

    Args:
        chunks: raw rows as strings; of the columns, only `text_columns` are looked at.
        text_columns: the last is the body, those before it make up the title.
        split: its salt and sizes decide, exactly as in the stage `split`.

    Raises:
        InputError: too few of the reviews have a title to learn from.
    """
    corpus = Corpus()
    seen: set[int] = set()
    for raw in chunks:
        for parts in raw[text_columns].itertuples(index=False, name=None):
            text = join_text(parts)
            value = text_hash(text, split.salt)
            if not text or value in seen or assign_split(value, split) != "train":
                continue
            seen.add(value)
            corpus.titles.append(SEPARATOR.join(part.strip() for part in parts[:-1] if part.strip()))
            corpus.bodies.append(parts[-1].strip())
            corpus.texts.append(text)
            corpus.hashes.append(value)
    if (found := int(corpus.titled().sum())) < MIN_TITLES:
        raise InputError(f"{found} training reviews have a title, expected at least {MIN_TITLES} to learn from")
    return corpus
