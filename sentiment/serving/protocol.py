"""uvicorn's HTTP protocol with a limit on the size of a request's head, and on the time that it takes to arrive."""

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024
THROTTLE_SECONDS = 0.25  # before a refused client is read again, if it did not wait for the second of Retry-After
HEAD_TIMEOUT = 10.0  # seconds


class BoundedHttpProtocol(HttpToolsProtocol):
    """Responds with 431 to a head that is too large, 408 to a slow one, 400 to what is not HTTP; then closes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._fed = 0  # bytes since the head began
        self._head_size = 0  # of its lines, as parsed
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the first head its time."""
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, unless the head has become too large."""
        if self._in_head:
            self._fed += len(data)
        super().data_received(data)
        if self._in_head and self._fed > MAX_HEAD_BYTES:
            self._refuse(431, f"the request's head is larger than {MAX_HEAD_BYTES:,} bytes")

    def on_message_begin(self) -> None:
        """Begin to count the head of a request."""
        super().on_message_begin()
        self.scope["throttle"] = self.throttle  # type: ignore[typeddict-unknown-key]
        self._in_head, self._head_size = True, 0
        if self._head_timer is None:
            self._start_timer()

    def throttle(self) -> None:
        """Read nothing more from this client for a while, whose request was refused and should come back later."""
        if self.transport.is_reading():
            self.transport.pause_reading()
            self.loop.call_later(THROTTLE_SECONDS, self._read_again)

    def _read_again(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def on_url(self, url: bytes) -> None:
        """Count the path."""
        self._head_size += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header."""
        self._head_size += len(name) + len(value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """End the head, which may have arrived at once."""
        self._stop_timer()
        self._in_head, self._fed = False, 0
        if self._head_size > MAX_HEAD_BYTES:
            raise ValueError  # ends in send_400_response
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what could not be parsed."""
        if self._head_size > MAX_HEAD_BYTES:
            self._refuse(431, f"the request's head is larger than {MAX_HEAD_BYTES:,} bytes")
        else:
            self._refuse(400, "not an HTTP request")

    def _start_timer(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT, self._on_timeout)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _on_timeout(self) -> None:
        self._head_timer = None
        self._refuse(408, f"the request's head did not arrive within {HEAD_TIMEOUT:g} s")

    def _refuse(self, status: int, message: str) -> None:
        self._stop_timer()
        if self.transport.is_closing():
            return
        body = json.dumps({"error": message, "error_type": "Validation"}).encode()
        head = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[status] + head + body)
        self.transport.close()
