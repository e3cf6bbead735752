"""Encode the splits on a Ray cluster, for the stage `encode`, into the bytes that the stage writes alone.

    RAY_ADDRESS=ray://head:10001 dvc repro        a cluster
    RAY_ADDRESS=local dvc repro                   a Ray on this machine

In exact arithmetic a vector depends on its text and the encoder alone. Texts go to the workers, vectors come back, and
the driver writes them at their rows, so the machines of a cluster need neither the checkout nor the data.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sentiment.common.errors import EncoderError, ParamsError
from sentiment.common.tables import batches, open_table
from sentiment.encoder.config import Device, EncoderConfig
from sentiment.encoder.features import Parts, feature_writer
from sentiment.encoder.frozen import BITS, FrozenEncoder
from sentiment.ray_tasks import Work, WorkerError, cluster, run_tasks

ADDRESS_VARIABLE = "RAY_ADDRESS"
TASK_ROWS = 2_048  # some seconds of work; 4 MB of 512-dimensional vectors, which go to the driver in one piece


Texts = tuple[str, int, list[str]]  # the split, the number of the first row, the texts


def is_requested() -> bool:
    """Return whether the environment names a cluster."""
    return bool(os.environ.get(ADDRESS_VARIABLE))


def load_encoder(
    config: EncoderConfig, device: Device, fingerprint: str, folder: Path
) -> Callable[[Texts, Callable[[int], object]], NDArray[np.float32]]:
    """Return the function of a worker that encodes texts with the encoder in `folder`.

    Raises:
        EncoderError: the encoder is not what the driver has loaded from the same files.
    """
    import torch

    torch.set_deterministic_debug_mode("error")  # as in the stage
    encoder = FrozenEncoder.load(folder, config, device)
    if encoder.fingerprint != fingerprint:
        raise EncoderError(
            f"a worker reads the encoder otherwise than the driver (fingerprint "
            f"{encoder.fingerprint[:8]}, expected {fingerprint[:8]}); install the same versions of the packages on "
            "every machine"
        )
    return lambda item, on_rows: encoder.encode(item[2], on_rows)


def encode_splits(
    tables: Mapping[str, Path],
    encoder: FrozenEncoder,
    device: Device,
    output: Path,
    parts: Parts,
    on_rows: Callable[[int], object],
) -> None:
    """Write `output`/SPLIT.npy for each table, on Ray.

    Args:
        tables: Parquet files with a column `text`, by split.
        encoder: as the driver has loaded it.
        device: where the workers compute.
        output: folder of the feature files, which appear when all are complete.
        parts: of a run before this one, which are not computed again, and of this one.
        on_rows: called with the number of texts done.

    Raises:
        ParamsError: Ray is not available, or the encoder's bytes would depend on the machine.
        PipelineError: a table is damaged, a worker cannot encode, or workers die one after the other.
    """
    if encoder.precision not in BITS:
        raise ParamsError(
            f"encode.precision {encoder.precision} gives other last digits on other machines; set it to int8 or int16, "
            f"or unset {ADDRESS_VARIABLE}"
        )
    load = partial(load_encoder, encoder.config, device, encoder.fingerprint)
    work = Work(load, encoder.folder, device)
    with ExitStack() as stack:
        grows = stack.enter_context(cluster())  # first: where it fails, nothing is written
        writers = {}
        for split, table in tables.items():
            rows = open_table(table).metadata.num_rows
            writers[split] = stack.enter_context(feature_writer(output / f"{split}.npy", rows, encoder.dim))

        def missing() -> Iterator[Texts]:
            for split, row, texts in _texts(tables):
                if (vectors := parts.read(texts)) is None:
                    yield split, row, texts
                else:
                    writers[split].write(vectors, row)
                    on_rows(len(texts))

        results = stack.enter_context(closing(run_tasks(work, missing(), command="encode", grows=grows)))
        for (split, row, texts), vectors in results:
            if isinstance(vectors, WorkerError):
                raise WorkerError(f"{split}, row {row}: {vectors}")
            parts.write(texts, vectors)
            writers[split].write(vectors, row)
            on_rows(len(vectors))


def _texts(tables: Mapping[str, Path]) -> Iterator[Texts]:
    for split, table in tables.items():
        row = 0
        for batch in batches(table, ["text"], TASK_ROWS):
            yield split, row, batch["text"].to_pylist()
            row += batch.num_rows
