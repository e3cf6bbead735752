"""Define the settings of pretraining, each with the value that made the committed encoder."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PretrainingConfig:
    """Model shape, augmentation and optimization.

    Attributes:
        embedding_size, hidden_size, num_layers, num_heads, intermediate_size: of the ALBERT; its layers share weights,
            so depth costs time and no memory.
        max_positions: the longest input that the encoder can take, in tokens.
        max_length: tokens of a text in training.
        min_token_count, min_title_ngram_count, min_text_ngram_count: how often a WordPiece token, an n-gram of titles
            and an n-gram of texts must occur; rarer ones are left out.
        svd_dim: length of a text's target vector.
        text_loss_weight: of the loss on those vectors; the loss on title n-grams has weight 1.
        title_keep_prob: probability that a text is shown with its title; otherwise the model has to predict it.
        truncate_prob: probability that a text is cut to a length from `min_truncated_length` up to, but not including,
            `max_truncated_length`, so that short inputs work too.
        mask_prob: probability that a token is replaced by [MASK].
        tokens_per_batch: padding included.
        warmup_steps: of the learning rate.
        ema_decay: of the exponential moving average of the weights; the average is what is saved.
    """

    embedding_size: int = 192
    hidden_size: int = 256
    num_layers: int = 2
    num_heads: int = 4
    intermediate_size: int = 512
    max_positions: int = 256
    max_length: int = 128
    min_token_count: int = 3
    min_title_ngram_count: int = 5
    min_text_ngram_count: int = 3
    svd_dim: int = 256
    text_loss_weight: float = 5.0
    title_keep_prob: float = 0.5
    truncate_prob: float = 0.25
    min_truncated_length: int = 8
    max_truncated_length: int = 40
    mask_prob: float = 0.1
    dropout: float = 0.1
    tokens_per_batch: int = 2048
    epochs: int = 8
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.01
    warmup_steps: int = 100
    ema_decay: float = 0.998
    seed: int = 0
