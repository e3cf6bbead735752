"""A unit of a split's table in; its feature vectors, and what came of it, out. What a worker of `encode` does."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sentiment.batch.metadata import Counts
from sentiment.batch.storage import LocalStorage
from sentiment.batch.units import Unit
from sentiment.batch.work import Job, OnRows, Reply, shorten
from sentiment.common.errors import EncoderError, InputError, PipelineError, one_line
from sentiment.encoder.config import Device, EncoderConfig
from sentiment.inference.readers import rows_of

TEXT = "text"  # the column of a split's table


@dataclass(frozen=True)
class EncodingSettings:
    """Settings of the stage `encode` that a worker needs.

    Attributes:
        folder: of the encoder on the driver's machine.
        config: of the encoder.
        fingerprint: of the encoder, as the driver has loaded it.
        device: where to compute.
    """

    folder: Path
    config: EncoderConfig
    fingerprint: str
    device: Device = "auto"


class UnitEncoder:
    """Encodes units with one encoder, loaded once.

    Args:
        settings: of the stage.
        folder: of the encoder.

    Raises:
        EncoderError: it is missing or damaged, or not what the driver has loaded from the same files.
    """

    def __init__(self, settings: EncodingSettings, folder: Path) -> None:
        import torch  # here, so that the number of threads holds before anything is computed

        from sentiment.encoder.frozen import FrozenEncoder

        torch.use_deterministic_algorithms(True)  # as in the stage
        self.encoder = FrozenEncoder.load(folder, settings.config, settings.device)
        if self.encoder.fingerprint != settings.fingerprint:
            raise EncoderError(
                f"a worker reads encoder '{settings.folder}' otherwise than the driver (fingerprint "
                f"{self.encoder.fingerprint[:8]}, expected {settings.fingerprint[:8]}); install the same versions of "
                "the packages on every machine"
            )

    def run(self, unit: Unit, on_rows: OnRows | None = None, payload: Any = None) -> Reply:
        """Encode the texts of a unit, or those in the payload; see `Worker.run`."""
        try:
            texts = read_texts(unit) if payload is None else payload
            vectors = self.encoder.encode(texts, on_rows)
        except PipelineError as error:
            return Reply("fatal", shorten(one_line(error)))
        except Exception as error:  # such as a device without memory: no other unit would fare better
            return Reply("fatal", shorten(f"{unit.name}: {type(error).__name__}: {one_line(error)}"))
        return Reply("written", counts=Counts(rows=len(texts)), vectors=vectors)


def read_texts(unit: Unit) -> list[str]:
    """Return the texts of a unit, as they stand in the table.

    Raises:
        InputError: the table is gone, has changed, or is damaged.
    """
    with LocalStorage("").open(unit.file) as file:
        try:
            parquet = pq.ParquetFile(file, pre_buffer=False)
            batches = rows_of(parquet, [TEXT], unit.part.start, unit.part.stop)
            return [text for batch in batches for text in batch[TEXT].to_pylist()]
        except (pa.ArrowException, OSError, EOFError) as error:
            raise InputError(f"{unit.file.name}: damaged Parquet file ({one_line(error)[:200]})") from None


def encoding_job(settings: EncodingSettings, threads: int) -> Job:
    """Return the job of encoding units; texts go to workers on other machines with their unit."""
    return Job(partial(UnitEncoder, settings), settings.folder, settings.device, threads, read_texts)
