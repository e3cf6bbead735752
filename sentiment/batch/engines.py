"""The name of an engine and a Job in; its pool of workers out."""

from contextlib import AbstractContextManager
from typing import Literal

from sentiment.batch.dispatch import Pool
from sentiment.batch.local import available_cpus, local_pool
from sentiment.batch.work import Job
from sentiment.common.errors import ParamsError

Engine = Literal["local", "ray"]
ENGINES: tuple[Engine, ...] = ("local", "ray")
THREADS = 2  # of a worker, where nothing else is asked for


def divide_cpus(workers: int | None = None, threads: int | None = None) -> tuple[int, int]:
    """Return how many workers this machine has room for, and the threads of each; what is given stays."""
    threads = threads or (max(1, available_cpus() // workers) if workers else min(THREADS, available_cpus()))
    return workers or max(1, available_cpus() // threads), threads


def open_pool(
    engine: Engine, job: Job, workers: int | None = None, address: str | None = None
) -> AbstractContextManager[Pool]:
    """Return the pool of an engine; it is started when the block is entered, and ended with it.

    Args:
        engine: processes of this machine, or actors of a Ray cluster.
        job: what the workers do.
        workers: how many; by default those that there are CPUs for, or GPUs of a cluster.
        address: of the Ray cluster.

    Raises:
        ParamsError: Ray is asked for and not installed, or the cluster does not answer.
    """
    if engine == "local":
        return local_pool(workers or divide_cpus(threads=job.threads or None)[0], job)
    try:
        from sentiment.batch.ray_pool import ray_pool
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("ray"):
            raise
        raise ParamsError(
            "Ray is not installed; run pip install 'frozen-albert-sentiment[ray]', in a checkout: make setup-ray"
        ) from None
    return ray_pool(address, workers, job)
