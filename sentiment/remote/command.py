"""Runs a job wherever somebody runs one command: SkyPilot, Slurm, Kubernetes, a console."""

import shlex
from dataclasses import dataclass

from sentiment.remote.backends import BackendState
from sentiment.remote.job import JobFolder
from sentiment.remote.local import runner_arguments
from sentiment.remote.runner.layout import RUNNER

DOWNLOAD = (
    "import boto3, sys; boto3.client('s3', endpoint_url=sys.argv[4] or None).download_file(*sys.argv[1:3], sys.argv[3])"
)


@dataclass(frozen=True)
class CommandBackend:
    """Starts nothing: the command is run by a person or a scheduler, at any time."""

    start_limit_s: float = 86_400.0

    def check(self) -> None:
        """Do nothing: nothing runs yet."""

    def start(self, folder: JobFolder) -> str:
        """Return the command for a POSIX shell; it needs python3 (3.11) with boto3, and git."""
        archive = f"runner-{folder.id}.pyz"
        endpoint = str(folder.remote.settings.get("endpointurl") or "")
        download = ["python3", "-c", DOWNLOAD, folder.store.bucket, folder.store.key(RUNNER), archive, endpoint]
        run = ["exec", "python3", archive, *runner_arguments(folder), "--work", f"sentiment-{folder.id}"]
        return f"{shlex.join(download)} && {shlex.join(run)}"

    def describe(self, folder: JobFolder) -> BackendState:
        """Return what `remote run` asked for; where the job is, only its status says."""
        return BackendState(False, "started by a command that somebody runs")

    def cancel(self, folder: JobFolder) -> None:
        """Do nothing: the runner reads the request to stop."""
