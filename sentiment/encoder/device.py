"""The device that a setting names, or "auto", in; the torch device to compute on out."""

import torch

from sentiment.common.errors import EncoderError


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
