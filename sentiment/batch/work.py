"""Job, Worker and Reply: what the workers of a pool are made of, and what they answer, whatever engine runs them."""

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sentiment.batch.metadata import Counts
from sentiment.batch.units import Unit
from sentiment.common.errors import PipelineError, one_line
from sentiment.encoder.config import Device

MAX_REASON = 500  # characters; a message may name every column of a header

OnRows = Callable[[int], object]


@dataclass(frozen=True)
class Reply:
    """What came of a unit.

    Attributes:
        outcome: "written", or encoded; "failed" where its input cannot be read; "fatal" where no other unit would fare
            better.
        reason: why not, one line.
        counts: of its rows.
        vectors: float32, shape (n_rows, dim), of a unit that is encoded.
    """

    outcome: Literal["written", "failed", "fatal"]
    reason: str = ""
    counts: Counts = field(default_factory=Counts)
    vectors: NDArray[np.float32] | None = None

    def as_mapping(self) -> dict[str, Any]:
        """Return a mapping that another process can read."""
        return {**vars(self), "counts": asdict(self.counts)}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "Reply":
        """Return the reply of a mapping that `as_mapping` returned."""
        return cls(**{**values, "counts": Counts(**values["counts"])})


class Worker(Protocol):
    """Labels or encodes units with a model that is loaded once."""

    def run(self, unit: Unit, on_rows: OnRows | None = None, payload: Any = None) -> Reply:
        """Do a unit and return its reply; what is wrong with its input is returned, not raised.

        Args:
            unit: to do.
            on_rows: called with the number of texts done, after each batch of the encoder.
            payload: what `Job.payload` returned for the unit, or None.
        """


@dataclass(frozen=True)
class Job:
    """What workers are started with.

    Attributes:
        load: makes a worker with the model in a folder; importable by name, so that other processes can load it.
        folder: of the model. An engine of several machines copies it to each of them.
        device: where to compute.
        threads: of one worker; 0 leaves it to torch.
        payload: returns the content of a unit whose file is on the driver's disk, for workers on other machines. None
            where every worker can read every file itself.
    """

    load: Callable[[Path], Worker]
    folder: Path
    device: Device = "auto"
    threads: int = 0
    payload: Callable[[Unit], Any] | None = None


def load_worker(job: Job, folder: Path) -> Worker | Reply:
    """Return the worker of a job, or the reply to every unit where its model in `folder` cannot be loaded."""
    limit_threads(job.threads)
    try:
        return job.load(folder)
    except PipelineError as error:
        return Reply("fatal", shorten(one_line(error)))


def limit_threads(threads: int) -> None:
    """Let this process compute with so many threads; 0 leaves it as it is."""
    if threads:
        # read when a library is imported, or first used
        os.environ["OMP_NUM_THREADS"] = os.environ["RAYON_NUM_THREADS"] = str(threads)
        import torch

        torch.set_num_threads(threads)


def shorten(reason: str) -> str:
    """Return at most `MAX_REASON` characters."""
    return reason if len(reason) <= MAX_REASON else f"{reason[: MAX_REASON - 1]}…"
