"""The words after `--on`, or the folder of a job, in; the backend that they name out."""

from collections.abc import Sequence
from pathlib import Path

from sentiment.common.errors import ParamsError
from sentiment.remote.backends import Backend
from sentiment.remote.command import CommandBackend
from sentiment.remote.job import JobFolder
from sentiment.remote.local import LocalBackend
from sentiment.remote.sagemaker import SageMakerBackend
from sentiment.remote.sagemaker_options import SageMakerOptions
from sentiment.remote.ssh import SshBackend

BACKENDS = "local, ssh HOST, sagemaker or command"


def backend_for(on: Sequence[str], python: Path | None = None, options: SageMakerOptions | None = None) -> Backend:
    """Return the backend for the words after `--on`; raises ParamsError for others."""
    match list(on):
        case ["local"]:
            return LocalBackend(python)
        case ["ssh", host]:
            return SshBackend(host, python)
        case ["sagemaker"]:
            return SageMakerBackend(options or SageMakerOptions())
        case ["command"]:
            return CommandBackend()
        case _:
            raise ParamsError(f"--on {' '.join(on)}: expected {BACKENDS}")


def backend_of(folder: JobFolder) -> Backend:
    """Return the backend that runs a job; raises ParamsError where there is no such job."""
    return backend_for(folder.job()["on"])
