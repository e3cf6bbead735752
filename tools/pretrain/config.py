"""Every number of the bundled encoder's making, with the value that made the committed one."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Shape, views and optimisation.

    Attributes:
        embedding, hidden, layers, heads, intermediate: of the ALBERT; layers share weights, so depth costs time only.
        positions: the longest input that the encoder can take.
        max_length: tokens of a text in training.
        min_piece_count, min_title_count, min_text_count: how often a word piece, a sequence of title words, a sequence
            of text words must occur to count.
        rank: numbers of a text's vector of associations.
        text_weight: of the loss on those vectors, beside the loss on title words.
        title_shown: share of texts seen with their title; the others must guess it.
        cut_short: share of texts cut to between `shortest` and `short` tokens, so that short inputs work too.
        masked: share of tokens hidden.
        tokens_per_batch: padding included.
        decay: of the moving average of the weights, which is what is kept.
    """

    embedding: int = 192
    hidden: int = 256
    layers: int = 2
    heads: int = 4
    intermediate: int = 512
    positions: int = 256
    max_length: int = 128
    min_piece_count: int = 3
    min_title_count: int = 5
    min_text_count: int = 3
    rank: int = 256
    text_weight: float = 5.0
    title_shown: float = 0.5
    cut_short: float = 0.25
    shortest: int = 8
    short: int = 40
    masked: float = 0.1
    dropout: float = 0.1
    tokens_per_batch: int = 2048
    epochs: int = 8
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.01
    warmup: int = 100
    decay: float = 0.998
    seed: int = 0
