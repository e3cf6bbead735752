"""FrozenEncoder: texts in, one feature vector each out, from a Hugging Face encoder that is never trained."""

from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from sentiment.encoder.albert import Albert
from sentiment.encoder.batching import token_batches
from sentiment.features.config import EncoderSpec
from sentiment.common.errors import EncoderError
from sentiment.encoder.transformers import Padded
from sentiment.encoder.loading import Pretrained, albert_shape, load_pretrained

# tokens a batch: what fits the caches of a CPU, what keeps a GPU busy
TOKEN_BUDGET = {"cpu": 2_048, "mps": 16_384, "cuda": 131_072}


def pick_device(wanted: str) -> torch.device:
    """Return the device for "auto", "cpu", "cuda" or "mps"; "auto" prefers CUDA, then MPS.

    Raises:
        EncoderError: the wanted device is not there.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        wanted = next(name for name, there in present.items() if there)
    if not present[wanted]:
        raise EncoderError(f"device '{wanted}' is not there; set encode.device to auto or cpu")
    return torch.device(wanted)


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
        width: numbers a vector.
        fingerprint: SHA-256 of the weights, before any change of precision.
    """

    def __init__(self, pretrained: Pretrained, spec: EncoderSpec, device: torch.device) -> None:
        self.spec = spec
        self.device = device
        self.width = pretrained.hidden_size * (2 if spec.pooling == "mean+max" else 1)
        self.fingerprint = pretrained.fingerprint()
        dtype = pick_dtype(spec.precision, device)
        shape = albert_shape(pretrained.config, pretrained.weights)
        self.model = (
            Albert(shape, pretrained.weights, device, dtype) if shape else Padded(pretrained.module, device, dtype)
        )
        self._tokenize = pretrained.tokenize

    @classmethod
    def load(cls, spec: EncoderSpec, device: str = "auto") -> Self:
        """Load encoder and tokenizer; a local folder never touches the network.

        Raises:
            EncoderError: the encoder is unknown, not pinned, incomplete, damaged, or too short for `max_length`.
        """
        pretrained = load_pretrained(spec)
        longest = pretrained.config.get("max_position_embeddings", spec.max_length)
        if spec.max_length > longest:
            raise EncoderError(f"encode.max_length is {spec.max_length}, but '{spec.encoder}' takes {longest} at most")
        return cls(pretrained, spec, pick_device(device))

    @torch.inference_mode()
    def encode(self, texts: Sequence[str], on_batch: Callable[[int], object] | None = None) -> NDArray[np.float32]:
        """Return one vector a text, float32, shape (texts, width), in the order of the texts.

        Args:
            texts: any number; they are sorted by length here, so thousands at once pad less.
            on_batch: called with the number of texts done, after each batch.
        """
        vectors = np.empty((len(texts), self.width), dtype=np.float32)
        token_ids = self.tokenize(texts)
        for places in token_batches([len(ids) for ids in token_ids], TOKEN_BUDGET[self.device.type]):
            batch = [token_ids[place] for place in places]
            vectors[places] = self.model.pooled(batch, self.spec.pooling).cpu().numpy()
            if on_batch:
                on_batch(len(places))
        return vectors

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, special tokens included, cut to `max_length`."""
        return self._tokenize(list(texts)) if texts else []
