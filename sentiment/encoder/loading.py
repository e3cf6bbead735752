"""Load an encoder from its folder: device, weights and fingerprint; pool what transformers' model of it returns.

A BERT or an ALBERT is read without transformers, whose import takes seconds; any other encoder is read by it.
"""

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from sentiment.common.errors import EncoderError
from sentiment.encoder.config import WEIGHTS, check_weights
from sentiment.encoder.families import TransformerConfig, param_shapes
from sentiment.encoder.tokenizer import (
    OFFLINE,
    Tokenize,
    canonical_json,
    load_auto_tokenizer,
    load_local_tokenizer,
    loading,
    tokenize_with,
)


def pick_device(requested: str, exact: bool = False, key: str = "encode.device") -> torch.device:
    """Return the device for "auto", "cpu", "cuda" or "mps"; "auto" prefers CUDA, then MPS unless `exact`.

    Args:
        key: of params.yaml, for the message.

    Raises:
        EncoderError: the requested device is not available.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if requested == "auto":
        usable = (name for name, is_available in available.items() if is_available and not (exact and name == "mps"))
        requested = next(usable)
    if not available[requested]:
        raise EncoderError(f"device '{requested}' is not available; set {key} to auto or cpu")
    return torch.device(requested)


def load_auto_model(folder: Path) -> tuple[Any, Any]:
    """Return tokenizer and model of a folder, float32, its pooling layer left out.

    Raises:
        EncoderError: weights are missing, or the tokenizer has no tokenizer.json.
        LOADING_ERRORS: of transformers, for other damage.
    """
    from transformers import AutoConfig, AutoModel  # seconds: only where they are needed
    from transformers.models.auto.modeling_auto import MODEL_MAPPING
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # it lists the pooling layer, which is left out
    tokenizer = load_auto_tokenizer(folder)
    config = AutoConfig.from_pretrained(folder, **OFFLINE)
    model_class: Any = MODEL_MAPPING[type(config)]
    has_pooler = "add_pooling_layer" in inspect.signature(model_class).parameters
    model, report = AutoModel.from_pretrained(
        folder,
        config=config,
        use_safetensors=True,
        dtype=torch.float32,
        attn_implementation="sdpa",
        output_loading_info=True,
        **({"add_pooling_layer": False} if has_pooler else {}),
        **OFFLINE,
    )
    missing_keys = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
    if missing_keys:
        raise EncoderError(f"encoder '{folder}': {len(missing_keys)} weights are missing, such as {missing_keys[0]}")
    return tokenizer, model


@dataclass(frozen=True)
class Pretrained:
    """A published encoder: configuration, weights and tokenizer.

    Attributes:
        config: what its config.json says.
        weights: float32, by transformers' names.
        tokenize: texts to token ids, special tokens included, cut to `max_length`.
        tokenizer_json: everything that decides the token ids but `max_length`.
        module: transformers' model; None where the encoder was read without it.
    """

    config: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    tokenize: Tokenize
    tokenizer_json: str
    module: Any = None

    @property
    def transformer(self) -> TransformerConfig | None:
        """The configuration of a BERT or an ALBERT, which this project computes itself; None for any other encoder."""
        return TransformerConfig.parse(self.config, self.weights)

    @property
    def hidden_size(self) -> int:
        """Dimension of a token's vector; not every config.json uses this name."""
        return int(self.module.config.hidden_size if self.module else self.config["hidden_size"])

    def fingerprint(self) -> str:
        """Return the SHA-256 of everything in the encoder that decides a vector: config, tokenizer, weights by name."""
        digest = sha256()
        transformer = self.transformer
        digest.update(json.dumps(transformer.model_dump() if transformer else identity(self.config)).encode())
        digest.update(self.tokenizer_json.encode())
        for name, tensor in sorted(self.weights.items()):
            digest.update(json.dumps([name, list(tensor.shape)]).encode())
            digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()


def identity(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config without the keys that say where it came from and not what it computes."""
    origin = ("_name_or_path", "name_or_path", "architectures", "transformers_version", "dtype", "torch_dtype")
    return {key: value for key, value in sorted(config.items()) if key not in origin}


def load_pretrained(folder: Path, max_length: int) -> Pretrained:
    """Load an encoder, whose tokenizer cuts texts to `max_length` tokens; never uses the network.

    Raises:
        EncoderError: the folder is missing, incomplete or damaged.
    """
    if not folder.is_dir():
        raise EncoderError(
            f"encoder '{folder}' is no folder; expected one that the stage finetune writes, as models/encoder"
        )
    check_weights(folder)
    with loading(f"encoder '{folder}'"):
        pretrained = load_local_transformer(folder, max_length) or load_with_transformers(folder, max_length)
    for name, weight in pretrained.weights.items():
        if not np.isfinite(weight.numpy()).all():
            raise EncoderError(f"encoder '{folder}': the weight {name} holds a NaN or infinity; restore or replace it")
    return pretrained


def load_local_transformer(folder: Path, max_length: int) -> Pretrained | None:
    """Read a BERT or an ALBERT from its folder; None where only transformers can load it."""
    weights_file = folder / WEIGHTS
    tokenizer = load_local_tokenizer(folder)
    if tokenizer is None or not weights_file.is_file():
        return None
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    prefix = f"{config.get('model_type')}."  # of the names in a file that holds a head, too
    weights = {name.removeprefix(prefix): weight.float() for name, weight in load_file(weights_file).items()}
    transformer = TransformerConfig.parse(config, weights)
    if transformer is None:
        return None
    tokenizer_json = canonical_json(tokenizer)
    tokenizer.enable_truncation(max_length)
    tokenizer.no_padding()

    def tokenize(texts: list[str]) -> list[list[int]]:
        return [tokens.ids for tokens in tokenizer.encode_batch_fast(texts)]

    return Pretrained(config, {name: weights[name] for name in param_shapes(transformer)}, tokenize, tokenizer_json)


def load_with_transformers(folder: Path, max_length: int) -> Pretrained:
    """Load any encoder that `AutoModel` knows, its pooling layer left out; raises EncoderError where weights miss."""
    tokenizer, model = load_auto_model(folder)
    tokenizer_json = canonical_json(tokenizer.backend_tokenizer)
    tokenize = tokenize_with(tokenizer, max_length)
    return Pretrained(model.config.to_dict(), model.state_dict(), tokenize, tokenizer_json, model)


def pool(hidden: Tensor, mask: Tensor | None, pooling: str) -> Tensor:
    """Pool token vectors of shape (texts, tokens, dim); padding (mask 0) has no part in it.

    Args:
        hidden: the encoder's last hidden state.
        mask: shape (texts, tokens), 1 for a token; None where nothing is padding.
        pooling: "cls" (the first token), "mean", "max", or "mean+max" (both, side by side).

    Returns:
        float32, shape (texts, dim), for "mean+max" (texts, 2 * dim).
    """
    hidden = hidden.float()
    if pooling == "cls":
        return hidden[:, 0]
    pooled = []
    if "mean" in pooling:
        pooled.append(hidden.mean(1) if mask is None else masked_mean(hidden, mask))
    if "max" in pooling:
        pooled.append((hidden if mask is None else hidden.masked_fill(~mask.unsqueeze(-1).bool(), -torch.inf)).amax(1))
    return torch.cat(pooled, dim=1)


def masked_mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over tokens, shape (texts, dim), as one product with the mask."""
    return torch.bmm(mask.to(hidden.dtype).unsqueeze(1), hidden).squeeze(1) / mask.sum(1, keepdim=True)
