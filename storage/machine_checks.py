"""Checks of this machine: DVC's cache, the disk, the device that encodes, its integer product, and the encoder."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import try_to_load_from_cache

from sentiment.common.errors import PipelineError
from sentiment.common.params import load_params
from sentiment.encoder.files import check_weights
from sentiment.finetuning.settings import FinetuneParams
from sentiment.finetuning.source import read_pointer
from storage.check_result import CheckResult, Status, run_check
from storage.outputs import dvc_cache

# bytes; the default pipeline writes about 200 MB on the real reviews, and DVC keeps the outputs of earlier runs too
MIN_FREE_BYTES = 1024**3


class MachineError(PipelineError):
    """Something on this machine that the pipeline needs is missing or broken."""


def machine_checks(params: Path) -> Iterator[CheckResult]:
    """Yield one result a check; they do not depend on each other."""
    yield run_check("cache", cache)
    yield run_check("gpu", lambda: device(params))
    yield run_check("integers", lambda: integer_product(params))
    yield run_check("encoder", lambda: encoder(params))


def cache() -> tuple[Status, str]:
    """Write a file to DVC's cache, and look at the free space of its disk.

    Raises:
        MachineError: the disk is about full.
        OSError: the cache cannot be written.
    """
    folder = Path(os.path.relpath(dvc_cache()))  # for people: absolute paths are long
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as probe:
        probe.write(b"written by make doctor\n")
    return check_cache_space(folder, shutil.disk_usage(folder).free)


def check_cache_space(folder: Path, free: int) -> tuple[Status, str]:
    """Judge `free` bytes on the disk of `folder`; raises MachineError when it is about full."""
    if free < MIN_FREE_BYTES:
        raise MachineError(
            f"{folder}: {free // 1024**2} MiB free, at least {MIN_FREE_BYTES // 1024**2} MiB are needed; "
            "`dvc gc --workspace` drops the outputs of earlier runs"
        )
    return "ok", f"{folder} can be written, {free / 1024**3:.0f} GiB free"


def device(params: Path) -> tuple[Status, str]:
    """Name the device that `encode` would run on, as the stage itself picks it."""
    # torch and transformers take seconds to import, so the lines above come first
    import torch

    from sentiment.encoder.config import EncodeParams
    from sentiment.encoder.loading import pick_device

    picked = pick_device(load_params(params, "encode", EncodeParams).device)
    if picked.type == "cuda":
        return "ok", f"{torch.cuda.get_device_name(picked)}, CUDA {torch.version.cuda}"
    if picked.type == "mps":
        return "ok", "Apple GPU (mps)"
    return "note", f"none in use; encode runs on the CPU ({torch.get_num_threads()} threads)"


def integer_product(params: Path) -> tuple[Status, str]:
    """Say which integer product the exact encoder uses on the device that `encode` picks; both give equal bytes."""
    from sentiment.encoder.config import EncodeParams
    from sentiment.encoder.loading import pick_device
    from sentiment.numerics.products import backend

    picked = pick_device(load_params(params, "encode", EncodeParams).device, exact=True)
    if backend(picked) == "native":
        return "ok", "native int8 products"
    return "note", "float32 products of integers: the same bytes, slower than native int8"


def encoder(params: Path) -> tuple[Status, str]:
    """Say whether the encoder is on this machine, or would be downloaded."""
    folder = Path(load_params(params, "finetune", FinetuneParams).encoder)
    if not folder.is_dir():
        raise MachineError(f"{folder}: no such folder; `git checkout -- {folder}`, or set finetune.encoder to another")
    pointer = read_pointer(folder)
    if pointer is None:
        check_weights(folder)
        return "ok", str(folder)
    if isinstance(try_to_load_from_cache(pointer.id, "config.json", revision=pointer.commit), str):
        return "ok", f"{folder}: {pointer.id} at {pointer.commit}, downloaded"
    return "note", f"{folder}: {pointer.id} at {pointer.commit} is downloaded when finetune runs"
