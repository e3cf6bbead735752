"""FrozenEncoder: texts in, one feature vector each out, from a Hugging Face encoder that is never trained."""

from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from sentiment.common.errors import EncoderError
from sentiment.encoder.albert import Albert
from sentiment.encoder.batching import token_batches
from sentiment.encoder.loading import Pretrained, albert_config, load_pretrained
from sentiment.encoder.transformers import TransformersEncoder
from sentiment.features.config import EncoderConfig

# tokens a batch: what fits the caches of a CPU, what keeps a GPU busy
TOKEN_BUDGET = {"cpu": 2_048, "mps": 16_384, "cuda": 131_072}


def pick_device(requested: str) -> torch.device:
    """Return the device for "auto", "cpu", "cuda" or "mps"; "auto" prefers CUDA, then MPS.

    Raises:
        EncoderError: the requested device is not available.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if requested == "auto":
        requested = next(name for name, is_available in available.items() if is_available)
    if not available[requested]:
        raise EncoderError(f"device '{requested}' is not available; set encode.device to auto or cpu")
    return torch.device(requested)


def pick_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the dtype to compute in; "auto" is bfloat16 on a CUDA device that has it and float32 elsewhere."""
    if precision == "auto":
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
        return torch.bfloat16 if fast else torch.float32
    dtype: torch.dtype = getattr(torch, precision)
    return dtype


class FrozenEncoder:
    """A Hugging Face encoder without pooling layer, in evaluation mode, without gradients.

    Attributes:
        model: this project's own ALBERT, which computes no padding, or transformers' model for other encoders.
        dim: of a feature vector.
        fingerprint: SHA-256 of the weights, before any change of precision.
    """

    def __init__(self, pretrained: Pretrained, config: EncoderConfig, device: torch.device) -> None:
        self.config = config
        self.device = device
        self.dim = pretrained.hidden_size * (2 if config.pooling == "mean+max" else 1)
        self.fingerprint = pretrained.fingerprint()
        dtype = pick_dtype(config.precision, device)
        albert = albert_config(pretrained.config, pretrained.weights)
        self.model = (
            Albert(albert, pretrained.weights, device, dtype)
            if albert
            else TransformersEncoder(pretrained.module, device, dtype)
        )
        self._tokenize = pretrained.tokenize

    @classmethod
    def load(cls, config: EncoderConfig, device: str = "auto") -> Self:
        """Load encoder and tokenizer; a local folder never touches the network.

        Raises:
            EncoderError: the encoder is unknown, not pinned, incomplete, damaged, or too short for `max_length`.
        """
        pretrained = load_pretrained(config)
        max_positions = pretrained.config.get("max_position_embeddings", config.max_length)
        if config.max_length > max_positions:
            raise EncoderError(
                f"encode.max_length is {config.max_length}, but '{config.encoder}' takes at most {max_positions}"
            )
        return cls(pretrained, config, pick_device(device))

    @torch.inference_mode()
    def encode(self, texts: Sequence[str], on_batch: Callable[[int], object] | None = None) -> NDArray[np.float32]:
        """Return one float32 vector per text, shape (n_texts, dim), in the order of the texts.

        Args:
            texts: any number; they are sorted by length, so thousands at once need less padding.
            on_batch: called with the number of texts done, after each batch.
        """
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        token_ids = self.tokenize(texts)
        for indices in token_batches([len(ids) for ids in token_ids], TOKEN_BUDGET[self.device.type]):
            batch = [token_ids[index] for index in indices]
            vectors[indices] = self.model.encode(batch, self.config.pooling).cpu().numpy()
            if on_batch:
                on_batch(len(indices))
        return vectors

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, special tokens included, cut to `max_length`."""
        return self._tokenize(list(texts)) if texts else []
