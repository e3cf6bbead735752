"""Call a command in the process of the test, and return its exit status and its log."""

import logging
from collections.abc import Callable

import pytest


def call_command(
    command: Callable[[], object], caplog: pytest.LogCaptureFixture, logger: str | None = None
) -> tuple[int, str]:
    """Call a command, which has to end by SystemExit; return its exit status and the messages of the log.

    Args:
        command: to call.
        caplog: of the test.
        logger: whose messages from INFO on are recorded; None for all.
    """
    caplog.set_level(logging.INFO, logger=logger)
    caplog.clear()
    with pytest.raises(SystemExit) as exited:
        command()
    return int(exited.value.code or 0), "\n".join(caplog.messages)
