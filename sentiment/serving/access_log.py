"""The access log: one JSON object per request, without texts, on standard error as all messages are.

Lines are collected and written together. A write hands the interpreter to another thread, and the event loop, which
wants to go on with the next request, would wait for it after every line.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Any

FLUSH_SECONDS = 0.05  # that a line waits for the next ones

log = logging.getLogger("sentiment.serving.access")


class AccessLog:
    """Lines that wait to be written; for the event loop's thread only."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, entry: Mapping[str, Any]) -> None:
        """Write an entry soon, with others."""
        if not self._lines:
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)
        self._lines.append(json.dumps(entry))

    def flush(self) -> None:
        """Write what waits."""
        lines, self._lines = self._lines, []
        if lines:
            log.info("%s", "\n".join(lines))
