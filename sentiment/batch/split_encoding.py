"""The tables of the splits and an encoder in; their feature files, computed by the workers of an engine, out.

The stage `encode` loads this module where one of two variables asks for it:

    SENTIMENT_ENGINE=local dvc repro        several processes of this machine
    SENTIMENT_ENGINE=ray dvc repro          a Ray on this machine, or the cluster that RAY_ADDRESS names
    RAY_ADDRESS=auto dvc repro              that cluster

In exact arithmetic a vector depends on its text and the encoder alone, so the files have the bytes that the stage
writes without an engine.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from sentiment.batch.cutting import cut
from sentiment.batch.dispatch import dispatch
from sentiment.batch.encoding import EncodingSettings, encoding_job
from sentiment.batch.engines import ENGINES, Engine, divide_cpus, open_pool
from sentiment.batch.errors import RunError
from sentiment.batch.storage import LocalStorage
from sentiment.batch.units import Unit
from sentiment.common.errors import ParamsError
from sentiment.common.tables import open_table
from sentiment.encoder.config import Device
from sentiment.encoder.features import feature_writer
from sentiment.encoder.frozen import BITS, FrozenEncoder

ENGINE_VARIABLE, ADDRESS_VARIABLE = "SENTIMENT_ENGINE", "RAY_ADDRESS"
UNIT_ROWS = 2_048  # some seconds of work; 4 MB of 512-dimensional vectors, which go to the driver in one piece


def requested_engine() -> Engine:
    """Return the engine that the environment asks for; Ray where it has RAY_ADDRESS alone.

    Raises:
        ParamsError: SENTIMENT_ENGINE names an unknown engine.
    """
    name = os.environ.get(ENGINE_VARIABLE) or "ray"
    if name not in ENGINES:
        raise ParamsError(f"{ENGINE_VARIABLE} is '{name}'; expected {' or '.join(ENGINES)}, or unset it")
    return name


def encode_splits(
    tables: Mapping[str, Path],
    encoder: FrozenEncoder,
    device: Device,
    output: Path,
    on_rows: Callable[[int], object],
    *,
    workers: int | None = None,
    unit_rows: int = UNIT_ROWS,
) -> None:
    """Write `output`/SPLIT.npy for each table, on the engine that the environment asks for.

    Args:
        tables: Parquet files with a column `text`, by split.
        encoder: as the driver has loaded it.
        device: where the workers compute.
        output: folder of the feature files, which appear when all are complete.
        on_rows: called with the number of texts done; a negative number takes back those of a worker that died.
        workers: how many; by default those that the engine has room for, one for a GPU of this machine.
        unit_rows: rows that a worker encodes at a time.

    Raises:
        ParamsError: the engine is unknown or not available, or the encoder's bytes would depend on it.
        InputError: a table is damaged.
        RunError: a worker cannot encode, or workers die one after the other.
    """
    engine = requested_engine()
    if encoder.precision not in BITS:
        raise ParamsError(
            f"encode.precision {encoder.precision} gives other last digits on other machines; set it to int8 or int16, "
            f"or unset {ENGINE_VARIABLE} and {ADDRESS_VARIABLE}"
        )
    if engine == "local" and encoder.device.type != "cpu":
        workers = workers or 1  # this machine's processes would share its GPU
    threads = divide_cpus(workers)[1]
    job = encoding_job(EncodingSettings(encoder.folder, encoder.config, encoder.fingerprint, device), threads)
    with ExitStack() as stack:
        pool = stack.enter_context(open_pool(engine, job, workers))  # first: where it fails, nothing is written
        writers = {}
        for split, table in tables.items():
            rows = open_table(table).metadata.num_rows
            writers[split] = stack.enter_context(feature_writer(output / f"{split}.npy", rows, encoder.dim))
        for progress in dispatch(pool, _units(tables, unit_rows), "encode"):
            if progress.rows:
                on_rows(progress.rows)
            if (reply := progress.reply) is None:
                continue
            if reply.vectors is None:
                raise RunError(reply.reason)
            writers[progress.unit.path].write(reply.vectors, progress.unit.part.start)


def _units(tables: Mapping[str, Path], unit_rows: int) -> Iterator[Unit]:
    """Yield the units of each split in turn; `path` of a unit is the split's name."""
    storage = LocalStorage("")
    for split, table in tables.items():
        file = next(storage.files(str(table)))
        for index, part in enumerate(cut(file, storage, unit_rows)):
            yield Unit(file, split, index, part)
