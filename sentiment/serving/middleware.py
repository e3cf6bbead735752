"""Around every request: the key, the access log, the metrics, and the headers of every answer."""

import hmac
import random
import re
import time
from collections.abc import Callable, Collection, MutableMapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sentiment.serving.access_log import AccessLog
from sentiment.serving.errors import ServingError, UnauthorizedError
from sentiment.serving.metrics import Metrics
from sentiment.serving.replies import error_reply

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


class Auth:
    """Responds with 401 where the key is missing or another; `open_paths` need none."""

    def __init__(self, app: ASGIApp, key: str, open_paths: Collection[str]) -> None:
        self._app = app
        self._expected = b"bearer " + key.encode()
        self._open_paths = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401."""
        if scope["type"] != "http" or self._is_open(scope) or self._has_key(scope):
            await self._app(scope, receive, send)
        else:
            await error_reply(UnauthorizedError("expected 'Authorization: Bearer KEY'"))(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        return scope["path"] in self._open_paths and scope["method"] in ("GET", "HEAD")

    def _has_key(self, scope: Scope) -> bool:
        given = header(scope, b"authorization")
        scheme, _, key = given.partition(b" ")
        # constant time, whatever the key begins with
        return hmac.compare_digest(scheme.lower() + b" " + key, self._expected)


class Admission:
    """Responds with 429 or 503 before a request is read, where none is accepted: a refusal then takes little time.

    A client that comes back at once, and not when the answer says, is not read again for a moment: many of them would
    keep the event loop from everything else.

    Args:
        app: that answers.
        paths: of the requests with texts, all of them POST.
        check: raises the ServingError that is the answer.
    """

    def __init__(self, app: ASGIApp, paths: Collection[str], check: Callable[[], None]) -> None:
        self._app = app
        self._paths = frozenset(paths)
        self._check = check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in self._paths:
            try:
                self._check()
            except ServingError as error:
                scope["known_path"] = scope["path"]
                await error_reply(error)(scope, receive, send)
                if throttle := scope.get("throttle"):  # of `sentiment.serving.protocol`
                    throttle()
                return
        await self._app(scope, receive, send)


class Observer:
    """Logs each request and counts it.

    Args:
        app: that answers.
        metrics: that count it.
        access_log: that names it.
        is_draining: whether the server stops, so that connections close behind their answers.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, access_log: AccessLog, is_draining: Callable[[], bool]) -> None:
        self._app = app
        self._metrics = metrics
        self._access_log = access_log
        self._is_draining = is_draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and look at its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        status = 499  # unless it is answered
        given_id = header(scope, b"x-request-id")
        request_id = given_id if REQUEST_ID.fullmatch(given_id) else b"%032x" % random.getrandbits(128)

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", []), (b"x-request-id", request_id), *SECURITY_HEADERS]
                if self._is_draining():
                    headers.append((b"connection", b"close"))
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self._app(scope, receive, observed_send)
        finally:
            seconds = time.perf_counter() - start
            self._metrics.observe(route_of(scope), status, seconds, scope.get("n_texts", 0))
            self._access_log.add(
                {
                    "time": round(time.time(), 3),
                    "request_id": request_id.decode(),
                    "client": (scope.get("client") or ("",))[0],
                    "method": scope["method"],
                    "path": scope["path"][:200],
                    "status": status,
                    "ms": round(1000 * seconds, 1),
                    "bytes": scope.get("n_bytes", 0),
                    "texts": scope.get("n_texts", 0),
                }
            )


def header(scope: Scope, name: bytes) -> bytes:
    """Return the value of a header, b"" where it is not there."""
    for key, value in scope["headers"]:
        if key == name:
            found: bytes = value
            return found
    return b""


def route_of(scope: MutableMapping[str, Any]) -> str:
    """Return the path of the route that answered; one name for all unknown paths."""
    return scope.get("known_path") or getattr(scope.get("route"), "path", None) or "unknown"
