"""Checks of this machine: DVC's cache, the disk, the device that encodes, and the encoder."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dvc.config import Config as DvcConfig
from huggingface_hub import try_to_load_from_cache

from sentiment.common.errors import PipelineError
from sentiment.common.params import load_params
from storage.remote import DVC_FOLDER
from storage.report import Line, Status, attempt

ROOM = 1024**3  # bytes


class MachineError(PipelineError):
    """Something on this machine that the pipeline needs is not as it should be."""


def machine_lines(params: Path) -> Iterator[Line]:
    """Yield one line a check; they do not depend on each other."""
    yield attempt("cache", cache)
    yield attempt("gpu", lambda: device(params))
    yield attempt("encoder", lambda: encoder(params))


def cache() -> tuple[Status, str]:
    """Write a file to DVC's cache, and look at the room on its disk.

    Raises:
        MachineError: the disk is about full.
        OSError: the cache cannot be written.
    """
    folder = Path(DvcConfig(str(DVC_FOLDER))["cache"].get("dir") or DVC_FOLDER / "cache")
    folder = Path(os.path.relpath(folder))  # for people: absolute paths are long
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as probe:
        probe.write(b"written by make doctor\n")
    return room(folder, shutil.disk_usage(folder).free)


def room(folder: Path, free: int) -> tuple[Status, str]:
    """Judge `free` bytes on the disk of `folder`; raises MachineError when it is about full."""
    if free < ROOM:
        raise MachineError(f"{folder}: {free // 1024**2} MiB free; make room, `dvc gc --workspace` drops old outputs")
    return "ok", f"{folder} can be written, {free / 1024**3:.0f} GiB free"


def device(params: Path) -> tuple[Status, str]:
    """Name the device that `encode` would run on, as the stage itself picks it."""
    # torch and transformers take seconds to import, so the lines above come first
    import torch

    from sentiment.encoder.frozen import pick_device
    from sentiment.features.config import EncodeParams

    picked = pick_device(load_params(params, "encode", EncodeParams).device)
    if picked.type == "cuda":
        return "ok", f"{torch.cuda.get_device_name(picked)}, CUDA {torch.version.cuda}"
    if picked.type == "mps":
        return "ok", "Apple GPU (mps)"
    return "note", f"none in use; encode runs on the CPU ({torch.get_num_threads()} threads)"


def encoder(params: Path) -> tuple[Status, str]:
    """Say whether the encoder is here, or would be downloaded."""
    from sentiment.encoder.loading import check_weights
    from sentiment.features.config import EncodeParams

    config = load_params(params, "encode", EncodeParams)
    folder = Path(config.encoder)
    if folder.is_dir():
        check_weights(folder)
        return "ok", config.encoder
    if config.revision is None:
        raise MachineError(
            f"{config.encoder}: no such folder; `git checkout -- {config.encoder}`, or set encode.revision"
        )
    if isinstance(try_to_load_from_cache(config.encoder, "config.json", revision=config.revision), str):
        return "ok", f"{config.encoder} at {config.revision}, downloaded"
    return "note", f"{config.encoder} at {config.revision} is downloaded when encode runs"
