"""Loads an encoder (config, weights, tokenizer) from a local folder or through transformers."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from sentiment.common.errors import EncoderError
from sentiment.encoder.auto_model import load_auto_model, loading
from sentiment.encoder.families import TransformerConfig, param_shapes
from sentiment.encoder.tokenizing import canonical_json, load_local_tokenizer
from sentiment.features.config import EncoderConfig
from sentiment.features.encoder_files import WEIGHTS, check_weights

Tokenize = Callable[[list[str]], list[list[int]]]


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


def load_pretrained(config: EncoderConfig) -> Pretrained:
    """Load an encoder. A local folder never uses the network; a BERT or an ALBERT in one does not import transformers.

    Raises:
        EncoderError: the encoder is unknown, not pinned, incomplete or damaged.
    """
    folder = Path(config.encoder)
    if folder.is_dir():
        check_weights(folder)
    elif config.revision is None:
        raise EncoderError(
            f"encoder '{config.encoder}' is no folder; expected one that the stage finetune writes, as models/encoder"
        )
    with loading(f"encoder '{config.encoder}'"):
        return load_local_transformer(folder, config.max_length) or load_with_transformers(config)


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


def load_with_transformers(config: EncoderConfig) -> Pretrained:
    """Load any encoder that `AutoModel` knows, its pooling layer left out; raises EncoderError where weights miss."""
    tokenizer, model = load_auto_model(config.encoder, config.revision)
    only_ids = {"return_attention_mask": False, "return_token_type_ids": False}

    def tokenize(texts: list[str]) -> list[list[int]]:
        ids: list[list[int]] = tokenizer(texts, truncation=True, max_length=config.max_length, **only_ids)["input_ids"]
        return ids

    tokenizer_json = canonical_json(tokenizer.backend_tokenizer)
    return Pretrained(model.config.to_dict(), model.state_dict(), tokenize, tokenizer_json, model)
