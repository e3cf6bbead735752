"""An address in, a connection to a Ray cluster and the number of workers that it has room for, out."""

import logging
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

import sentiment
from sentiment.batch.local import available_cpus
from sentiment.common.errors import ParamsError, one_line


def connect(address: str | None) -> None:
    """Connect to a cluster (`--address`, else RAY_ADDRESS), or start Ray on this machine, without output of its own.

    Raises:
        ParamsError: the cluster does not answer.
    """
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or Ray warns
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = address or os.environ.get("RAY_ADDRESS")
    settings: dict[str, Any] = {"address": address} if address else {
        "address": "local", "num_cpus": available_cpus(), "include_dashboard": False
    }  # fmt: skip
    # the code of this driver, so that machines with other packages only need not have this one
    runtime: dict[str, Any] = {"py_modules": [str(Path(sentiment.__file__).parent)]}
    if not address:
        runtime["py_executable"] = shlex.quote(sys.executable)  # which Ray would give to a shell unquoted
    try:
        ray.init(**settings, runtime_env=runtime, logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, RayError, RuntimeError, ValueError) as error:
        raise ParamsError(f"no Ray cluster at {address}: {one_line(error)[:300]}") from None


def cluster_size(cpus_per_worker: int, use_gpus: bool) -> tuple[int, dict[str, float]]:
    """Return how many workers a cluster has room for, and what each of them takes: one GPU where there are any.

    Every CPU may be taken: the driver needs none, and there are no other tasks that would wait for one.
    """
    cluster_resources: Callable[[], dict[str, float]] = ray.cluster_resources  # typed here: Ray does not
    total = cluster_resources()
    if use_gpus and (gpus := int(total.get("GPU", 0))):
        return gpus, {"num_cpus": 1, "num_gpus": 1}
    cpus = int(total.get("CPU", 1))
    return max(1, cpus // cpus_per_worker), {"num_cpus": min(cpus_per_worker, cpus)}
