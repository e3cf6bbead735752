"""Errors of the emulated Python; each is shown as one line."""

from sentiment.common.errors import PipelineError


class ArmError(PipelineError):
    """The emulated Python cannot be built or used here; the message says what is missing or what failed."""
