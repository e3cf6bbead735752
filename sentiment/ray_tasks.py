"""Run units of work as tasks of a Ray cluster: connect, keep a window of tasks, try again those whose worker died.

`sentiment batch` and the stage `encode` use it. Ray schedules the tasks, and retries them where a worker or machine is
gone; each worker process loads the model once. No number of workers is fixed: machines may join and leave meanwhile.
"""

import faulthandler
import logging
import os
import shlex
import socket
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from sentiment.common.errors import ParamsError, PipelineError, one_line

MAX_RETRIES = 2  # of a task whose worker died
MAX_LOST_IN_A_ROW = 3  # tasks that were given up, after which a run ends
STALL_SECONDS = 600  # a worker ends that has done no batch of texts for so long; loading a model is the longest pause
WAIT_SECONDS = 30.0  # between looks at how many machines there are, while no task is finished
CONNECT_SECONDS = 15  # for the head of a cluster
SECONDS_TO_ANSWER = 60  # for what is ready already, or is in the store of this cluster
SPARE_TASKS = 16  # submitted beyond twice those there is room for, so that a cluster that grows sees work waiting

Item = TypeVar("Item")
OnRows = Callable[[int], object]

log = logging.getLogger(__name__)


class WorkerError(PipelineError):
    """Workers that end before they have finished a task; of one item, its result."""


@dataclass(frozen=True)
class Work:
    """What all tasks of a run do.

    Attributes:
        load: called once in each worker process with the folder of the model; returns the function of one item. Both
            are importable by name. The function calls its second argument with the number of texts done, as a sign of
            life. A PipelineError that either raises ends the run.
        folder: of the model; its files are sent to the workers.
        device: where to compute; with "cuda", and with "auto" on a cluster with GPUs, a task takes one GPU.
        threads: CPUs of a task.
    """

    load: Callable[[Path], Callable[[Any, OnRows], Any]]
    folder: Path
    device: str = "auto"
    threads: int = 1


def limit_threads(threads: int) -> None:
    """Let this process compute with so many threads."""
    import torch

    os.environ["RAYON_NUM_THREADS"] = str(threads)  # of the tokenizers; read when they are first used
    torch.set_num_threads(threads)


@contextmanager
def cluster(address: str | None = None) -> Iterator[bool]:
    """Connect to a cluster (`address`, else RAY_ADDRESS) until the block ends; "local" and None start one here.

    Yields:
        Whether machines may join it.

    Raises:
        ParamsError: Ray is not installed, or the cluster does not answer.
    """
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or Ray warns
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        from ray.exceptions import RayError
    except ModuleNotFoundError:
        raise ParamsError(
            "Ray is not installed; run pip install 'frozen-albert-sentiment[ray]', in a checkout: make setup-ray"
        ) from None
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    # the code of this driver, so that machines with other packages only need not have this one
    runtime: dict[str, Any] = {"py_modules": [str(Path(__file__).parent)]}
    settings: dict[str, Any] = {"address": address}
    if address == "local":
        n_cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        settings |= {"num_cpus": n_cpus, "include_dashboard": False}
        runtime["py_executable"] = shlex.quote(sys.executable)  # which Ray would give to a shell unquoted
    try:
        _connect(address)
        ray.init(**settings, runtime_env=runtime, logging_level=logging.ERROR, log_to_driver=False)
    except (OSError, RayError, RuntimeError, ValueError) as error:
        raise ParamsError(f"no Ray cluster at {address}: {one_line(error)[:300]}") from None
    try:
        yield address != "local"
    finally:
        ray.shutdown()


def _connect(address: str) -> None:
    """Raise OSError where nothing listens at the address of a cluster; Ray itself would wait for 30 s."""
    parts = urlsplit(address if "://" in address else f"ray://{address}")
    if parts.hostname and parts.port:  # "local" and "auto" have no port
        socket.create_connection((parts.hostname, parts.port), timeout=CONNECT_SECONDS).close()


def run_tasks(
    work: Work, items: Iterator[Item], max_tasks: int | None = None, command: str = "batch", grows: bool = True
) -> Generator[tuple[Item, Any]]:
    """Yield each item with its result as they are finished, inside of `cluster`; WorkerError where its worker died.

    Args:
        work: what to do with each item.
        items: each is taken when there is room for it.
        max_tasks: most tasks at a time; None for as many as there is room for.
        command: the first word of a log line.
        grows: whether machines may join the cluster.

    Raises:
        PipelineError: what a worker raised, or that workers die one after the other.
        ParamsError: no machine has what a task needs, and none may join.
    """
    import ray
    from ray.exceptions import GetTimeoutError, RayError, RayTaskError

    has_gpu = work.device == "cuda" or (work.device == "auto" and _room({"GPU": 1}) > 0)
    resources = {"CPU": 1, "GPU": 1} if has_gpu else {"CPU": work.threads}
    needed = " and ".join(f"{count} {name}" for name, count in resources.items())
    # max_calls: else Ray ends a worker that has a GPU after each task, and the model with it
    options: Any = {"num_cpus": resources["CPU"], "num_gpus": int(has_gpu), "max_retries": MAX_RETRIES, "max_calls": 0}
    task: Any = ray.remote(**options)(_do)
    files = {str(path.relative_to(work.folder)): path.read_bytes() for path in work.folder.rglob("*") if path.is_file()}
    # in a list, or Ray would unpack the files for each task
    job = [ray.put((work, files, str(Path.cwd())))]
    running: dict[Any, Item] = {}
    n_lost = 0
    while True:
        room = _room(resources)
        while len(running) < (max_tasks or 2 * room + SPARE_TASKS) and (item := next(items, None)) is not None:
            running[task.remote(job, item)] = item
        if not running:
            return
        if not room and not grows:
            raise ParamsError(
                f"this machine has not {needed}: fewer --threads, another --device, or a cluster's --address"
            )
        ready, _ = ray.wait(list(running), num_returns=1, timeout=WAIT_SECONDS)
        if not ready and not room:
            log.info("%s: waiting for a machine of the cluster with %s", command, needed)
        for reference in ready:
            done = running.pop(reference)
            try:
                result, n_lost = ray.get(reference, timeout=SECONDS_TO_ANSWER), 0
            except RayTaskError as error:
                if isinstance(error.cause, PipelineError):
                    raise error.cause from None
                raise WorkerError(f"a worker failed: {one_line(error.cause)[:300]}") from None
            except (RayError, GetTimeoutError) as error:
                n_lost += 1
                result = WorkerError(f"its worker died, {1 + MAX_RETRIES} times: {one_line(error)[:200]}")
                if n_lost >= MAX_LOST_IN_A_ROW:
                    message = f"{n_lost} units failed one after the other; of the last {result}"
                    raise WorkerError(message) from None
            yield done, result


def _room(resources: dict[str, int]) -> int:
    """Return how many tasks the cluster could run at a time, as it is now."""
    import ray

    cluster_resources: Callable[[], dict[str, float]] = ray.cluster_resources  # typed here: Ray does not
    total = cluster_resources()
    return int(min(total.get(name, 0) // count for name, count in resources.items()))


_loaded: dict[Any, Callable[[Any, OnRows], Any]] = {}  # in a worker process: the function of the run


def _do(job: list[Any], item: Any) -> Any:
    """Do an item in a worker process, which ends where it gives no sign of life for `STALL_SECONDS`."""

    def on_rows(n_rows: int = 0) -> None:
        faulthandler.dump_traceback_later(STALL_SECONDS, exit=True, file=2)

    on_rows()
    try:
        if job[0] not in _loaded:
            _loaded[job[0]] = _load(job[0])
        return _loaded[job[0]](item, on_rows)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _load(job: Any) -> Callable[[Any, OnRows], Any]:
    import ray

    work, files, folder = ray.get(job, timeout=SECONDS_TO_ANSWER)
    limit_threads(work.threads)
    if Path(folder).is_dir():
        os.chdir(folder)  # the driver's, for relative paths and `.dvc/config.local`
    with tempfile.TemporaryDirectory(prefix="sentiment-model-") as to:
        for name, data in files.items():
            path = Path(to) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        function: Callable[[Any, OnRows], Any] = work.load(Path(to))
    return function
