"""Section `finetune` of params.yaml."""

from pydantic import Field

from sentiment.common.params import StageParams


class FinetuneParams(StageParams):
    """Section `finetune` of params.yaml.

    Attributes:
        encoder: a folder with an encoder, or with a pointer to one on the Hugging Face Hub.
    """

    encoder: str = Field(min_length=1)
