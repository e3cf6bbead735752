"""What a machine or service that runs jobs must do; `local`, `ssh`, `sagemaker` and `command` are such backends."""

from dataclasses import dataclass
from typing import Protocol

from sentiment.remote.job import JobFolder


@dataclass(frozen=True)
class BackendState:
    """What a backend knows of a job besides its status.

    Attributes:
        is_over: nothing runs there, and nothing will.
        text: what it says, such as `Pending` or a reason of failure.
    """

    is_over: bool
    text: str


class Backend(Protocol):
    """A machine or service that runs jobs."""

    @property
    def start_limit_s(self) -> float:
        """Return how long a job may take from being sent to its first heartbeat."""
        ...

    def check(self) -> None:
        """Raise PipelineError for what cannot work, before anything is sent."""
        ...

    def start(self, folder: JobFolder) -> str:
        """Start the runner for a job; return one line on where it runs."""
        ...

    def cancel(self, folder: JobFolder) -> None:
        """End a job besides the request to stop that its runner reads."""
        ...

    def describe(self, folder: JobFolder) -> BackendState:
        """Return what the backend knows of a job."""
        ...
