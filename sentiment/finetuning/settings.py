"""Check the section `finetune` of params.yaml."""

from typing import Literal

from pydantic import Field

from sentiment.common.params import StageParams
from sentiment.encoder.config import Device

Part = Literal["embeddings", "attention", "ffn"] | int


class FinetuneParams(StageParams):
    """Section `finetune` of params.yaml; length of texts and pooling are in the section `encode`.

    Attributes:
        encoder: a folder with an encoder, or with a pointer to one on the Hugging Face Hub.
        epochs: passes over the train split; 0 passes the encoder on unchanged, and no other key has an effect.
        frozen: parts that are not trained: "embeddings", "attention", "ffn", or numbers of layers from 0.
        rating_targets: whether the rating is learned beside the label, where the reviews have more than two ratings.
        dropout: of the pooled vector; the encoder's own is in its config.json.
        learning_rate: of AdamW, the highest.
        warmup_ratio: share of the steps in which the learning rate rises from 0; after them it falls to 0.
        max_grad_norm: longer gradients are shortened to it.
    """

    encoder: str = Field(min_length=1)
    epochs: int = Field(ge=0)
    seed: int = Field(ge=0)
    frozen: tuple[Part, ...]
    rating_targets: bool
    dropout: float = Field(ge=0, lt=1)
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    warmup_ratio: float = Field(ge=0, lt=1)
    batch_size: int = Field(ge=1)
    max_grad_norm: float = Field(gt=0)
    device: Device
