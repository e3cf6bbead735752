"""Errors that stop a run; what is wrong with one input is an `InputError` and stops only its units."""

from sentiment.common.errors import PipelineError, StorageError


class OutputError(StorageError):
    """An output that cannot be written: the disk is full, or the storage refuses. No other unit could be written."""


class UnavailableError(StorageError):
    """Storage that does not answer for longer than `sentiment.batch.s3.RETRY_SECONDS`."""


class RunError(PipelineError):
    """A run that cannot go on: no worker can load the model, or workers end before they have finished a unit."""
