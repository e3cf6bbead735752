"""FrozenEncoder: texts in, one feature vector each out, from a Hugging Face encoder that is never trained."""

import inspect
import json
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import MODEL_MAPPING
from transformers.utils import logging as transformers_logging

from stages.core.batching import padded, token_batches
from stages.core.encoder_spec import EncoderSpec
from stages.core.errors import EncoderError
from stages.core.pooling import pool

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
        width: numbers a vector.
        fingerprint: SHA-256 of the weights.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, spec: EncoderSpec, device: torch.device
    ) -> None:
        self.fingerprint = fingerprint(model)
        self.width = int(model.config.hidden_size) * (2 if spec.pooling == "mean+max" else 1)
        self.model = model.train(False).requires_grad_(False).to(device, pick_dtype(spec.precision, device))
        self.tokenizer = tokenizer
        self.spec = spec
        self.device = device

    @classmethod
    def load(cls, spec: EncoderSpec, device: str = "auto") -> Self:
        """Load encoder and tokenizer; a local folder never touches the network.

        Raises:
            EncoderError: the encoder is unknown, not pinned, incomplete, damaged, or too short for `max_length`.
        """
        local = Path(spec.encoder).is_dir()
        if not local and spec.revision is None:
            raise EncoderError(
                f"encode.encoder '{spec.encoder}' is no folder here; for a Hugging Face id set encode.revision "
                "to its commit"
            )
        if local:
            check_weights(Path(spec.encoder))
        where: dict[str, Any] = {"revision": spec.revision, "local_files_only": local}
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            config = AutoConfig.from_pretrained(spec.encoder, **where)
            tokenizer = AutoTokenizer.from_pretrained(spec.encoder, **where)
            model, report = AutoModel.from_pretrained(
                spec.encoder,
                config=with_fused_gelu(config),
                use_safetensors=True,
                dtype=torch.float32,
                attn_implementation="sdpa",
                output_loading_info=True,
                **without_pooler(config),
                **where,
            )
        except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
            reason = " ".join(str(error).split())[:300]
            raise EncoderError(f"encode.encoder '{spec.encoder}' could not be loaded: {reason}") from None
        absent = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
        if absent:
            raise EncoderError(
                f"encode.encoder '{spec.encoder}': {len(absent)} weights are missing, such as {absent[0]}"
            )
        longest = getattr(config, "max_position_embeddings", spec.max_length)
        if spec.max_length > longest:
            raise EncoderError(f"encode.max_length is {spec.max_length}, but '{spec.encoder}' takes {longest} at most")
        return cls(model, tokenizer, spec, pick_device(device))

    def encode(self, texts: Sequence[str], on_batch: Callable[[int], object] | None = None) -> NDArray[np.float32]:
        """Return one vector a text, float32, shape (texts, width), in the order of the texts.

        Args:
            texts: any number; they are sorted by length here, so thousands at once pad less.
            on_batch: called with the number of texts done, after each batch.
        """
        vectors = np.empty((len(texts), self.width), dtype=np.float32)
        token_ids = self.tokenize(texts)
        for places in token_batches([len(ids) for ids in token_ids], TOKEN_BUDGET[self.device.type]):
            vectors[places] = self._forward([token_ids[place] for place in places])
            if on_batch:
                on_batch(len(places))
        return vectors

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, special tokens included, cut to `max_length`."""
        if not texts:
            return []
        tokens = self.tokenizer(
            list(texts),
            truncation=True,
            max_length=self.spec.max_length,
            return_attention_mask=False,
            return_token_type_ids=False,
        )
        ids: list[list[int]] = tokens["input_ids"]
        return ids

    @torch.inference_mode()
    def _forward(self, token_ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        ids, mask = (
            None if array is None else torch.from_numpy(array).to(self.device)
            for array in padded(token_ids, self.tokenizer.pad_token_id or 0)
        )
        hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        pooled: NDArray[np.float32] = pool(hidden, mask, self.spec.pooling).cpu().numpy()
        return pooled


def check_weights(folder: Path) -> None:
    """Raise EncoderError when a folder lacks its config or its safetensors weights."""
    if not (folder / "config.json").is_file():
        raise EncoderError(f"{folder / 'config.json'}: no such file; expected a Hugging Face encoder folder")
    if not any(folder.glob("*.safetensors")):
        raise EncoderError(f"{folder}: no safetensors weights; `git checkout {folder}` or save them as safetensors")


def without_pooler(config: Any) -> dict[str, bool]:
    """Return the keyword that leaves the pooling layer out, for classes that have one."""
    model_class: Any = MODEL_MAPPING[type(config)]
    return {"add_pooling_layer": False} if "add_pooling_layer" in inspect.signature(model_class).parameters else {}


def with_fused_gelu(config: Any) -> Any:
    """Swap "gelu_new" for the same formula computed by one kernel instead of seven."""
    if getattr(config, "hidden_act", None) == "gelu_new":
        config.hidden_act = "gelu_pytorch_tanh"
    return config


def fingerprint(model: PreTrainedModel) -> str:
    """Return the SHA-256 of all weights by name, before any change of precision."""
    digest = sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(json.dumps([name, list(tensor.shape)]).encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()
