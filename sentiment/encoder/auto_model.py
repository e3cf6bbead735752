"""A folder or a Hugging Face id in; tokenizer and model, loaded by transformers' `AutoModel`, out."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from sentiment.common.errors import EncoderError, one_line

# what transformers raises where files are damaged, do not fit each other, or need a package that is not installed
LOADING_ERRORS = (
    OSError, ValueError, RuntimeError, LookupError, TypeError, AttributeError, ImportError, SafetensorError,
)  # fmt: skip


@contextmanager
def loading(name: str) -> Iterator[None]:
    """Turn what loading raises into an EncoderError of one line that starts with `name`."""
    try:
        yield
    except LOADING_ERRORS as error:
        raise EncoderError(f"{name} could not be loaded: {one_line(error)[:300]}") from None


def load_auto_model(encoder: str, revision: str | None = None) -> tuple[Any, Any]:
    """Return tokenizer and model, float32, its pooling layer left out. A folder never uses the network.

    Args:
        encoder: a folder; or a Hugging Face id, with `revision` its commit.

    Raises:
        EncoderError: weights are missing, or the tokenizer has no tokenizer.json.
        LOADING_ERRORS: of transformers, for other damage.
    """
    from transformers import AutoConfig, AutoModel, AutoTokenizer  # seconds: only where they are needed
    from transformers.models.auto.modeling_auto import MODEL_MAPPING
    from transformers.utils import logging

    source: dict[str, Any] = {
        "revision": revision,
        "local_files_only": Path(encoder).is_dir(),
        "trust_remote_code": False,  # else transformers asks on standard input, and runs the code on "y"
    }
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # it lists the pooling layer, which is left out
    config = AutoConfig.from_pretrained(encoder, **source)
    tokenizer = AutoTokenizer.from_pretrained(encoder, **source)
    model_class: Any = MODEL_MAPPING[type(config)]
    has_pooler = "add_pooling_layer" in inspect.signature(model_class).parameters
    model, report = AutoModel.from_pretrained(
        encoder,
        config=config,
        use_safetensors=True,
        dtype=torch.float32,
        attn_implementation="sdpa",
        output_loading_info=True,
        **({"add_pooling_layer": False} if has_pooler else {}),
        **source,
    )
    missing_keys = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
    if missing_keys:
        raise EncoderError(f"encoder '{encoder}': {len(missing_keys)} weights are missing, such as {missing_keys[0]}")
    if not tokenizer.is_fast:
        raise EncoderError(f"encoder '{encoder}': its tokenizer has no tokenizer.json")
    return tokenizer, model
