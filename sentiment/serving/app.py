"""Build the application: routes, page, key, access log and metrics around one queue and one classifier.

    app = create_app(SentimentClassifier.load("models/classifier"), Settings())

`run` serves it in one process until SIGTERM, `ray_application` as replicas of Ray Serve; any ASGI server can, too.
"""

import asyncio
import ctypes
import gc
import hmac
import ipaddress
import json
import logging
import os
import re
import signal
import socket
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, cast

import h11
import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from sentiment.common.errors import ParamsError
from sentiment.inference.classifier import SentimentClassifier
from sentiment.inference.prediction_log import PredictionLog
from sentiment.serving import protocols
from sentiment.serving.protocols import Service, Settings
from sentiment.serving.queue import TextQueue
from sentiment.serving.schemas import ENV_KEY, ERRORS, Responses, ServingError, error_responses

if TYPE_CHECKING:
    from ray.serve import Application

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
STATIC = ["sentiment.serving", "sentiment.theme"]  # packages with a folder of that name
SECONDS_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
TEXTS_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
LARGE_BYTES = 2**19  # of a body, after which free memory goes back to the system
REST_SECONDS = 2.0  # in which the rest of a refused body may arrive; closed before, its client would see a reset
ANSWER_SECONDS = 20  # for what was accepted; SageMaker kills 30 s after SIGTERM
KEEP_ALIVE_SECONDS = 75  # longer than a proxy's, which then is the one that closes
HTML: Responses = {200: {"content": {"text/html": {"schema": {"type": "string"}}}}}

log = logging.getLogger(__name__)
access_log = logging.getLogger("sentiment.serving.access")


def create_app(classifier: SentimentClassifier, settings: Settings) -> FastAPI:
    """Return the application; its queue and threads exist between startup and shutdown."""
    classifier.encoder.load_kernels()  # else a request would wait for it
    classifier.predict_proba(["warm up"])  # the first pass allocates, and so fails now or never
    prediction_log = PredictionLog(Path(settings.prediction_log)) if settings.prediction_log else None
    registry = CollectorRegistry()
    batch_sizes = Histogram("te_batch_next_size", "Texts in a batch", buckets=TEXTS_BUCKETS, registry=registry)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        queue = TextQueue(classifier, settings.queue_texts, on_batch=batch_sizes.observe, log=prediction_log)
        waiting = Gauge("te_queue_size", "Texts that wait or are being computed", registry=registry)
        waiting.set_function(lambda: queue.n_texts)
        app.state.service = Service(classifier, queue, settings, registry)
        yield
        await queue.close()

    app = FastAPIOffline(
        title="sentiment",
        description="Sentiment of product reviews, in three API shapes.",
        version=version("frozen-albert-sentiment"),
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would go where the Host header says
    )
    app.include_router(protocols.open_router)
    app.include_router(page_router)
    app.mount("/assets", StaticFiles(packages=[(package, "static") for package in STATIC]))
    for router in (protocols.router, protocols.texts_router):
        if settings.api_key is None:
            app.include_router(router)
        else:
            key = Depends(key_check(settings.api_key))
            app.include_router(router, dependencies=[key], responses=error_responses(401))
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_wrong_parameter)
    app.add_middleware(Observer, fastapi=app, registry=registry)
    return app


def key_check(api_key: str) -> Any:
    """Return the dependency that refuses a request without this key; the body is not read."""
    bearer = HTTPBearer(auto_error=False, scheme_name="key")

    async def check(given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> None:
        # constant time, whatever the key begins with
        if given is None or not hmac.compare_digest(given.credentials.encode(), api_key.encode()):
            raise ServingError(401, "expected 'Authorization: Bearer KEY'")

    return check


page_router = APIRouter()


@page_router.get("/", response_class=Response, responses=HTML)
async def page() -> Response:
    """Return the page."""
    content = (files("sentiment.serving") / "static" / "page.html").read_bytes()
    headers = {"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-cache"}
    return Response(content, headers=headers, media_type="text/html")


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer a ServingError, and what the framework refuses: an unknown path or method."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    operations = request.app.openapi()["paths"].get(request.url.path)
    if error.status_code == 405 and operations:  # a path may have a route for each method; the framework names one's
        headers = {"Allow": ", ".join(sorted(operations)).upper()}
    error_type = ERRORS.get(error.status_code, ("Validation",))[0]
    return JSONResponse({"error": str(error.detail), "error_type": error_type}, error.status_code, headers)


async def on_wrong_parameter(request: Request, error: Exception) -> Response:
    """Answer a request whose query string has not what the path needs."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return await on_http_error(request, ServingError(422, f"{first['loc'][-1]} in the query string: {first['msg']}"))


def give_back_memory() -> None:
    """Give free memory back to the system; else the C library of Linux keeps most of what large bodies took."""
    with suppress(OSError, AttributeError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


class Observer:
    """Names, logs and counts each request, and sees to the end of its connection.

    An answer has the request's id and the headers that browsers heed, also where the application fails. Where an answer
    comes before the request's body, the rest of the body is read and dropped, or the connection closes: else its bytes
    would be taken for the next request, or the client would wait for ever.
    """

    def __init__(self, app: ASGIApp, fastapi: FastAPI, registry: CollectorRegistry) -> None:
        self._app = app
        self._fastapi = fastapi
        self._requests = Counter("te_request_count", "Requests answered", ["path", "status"], registry=registry)
        self._duration = Histogram(
            "te_request_duration", "Seconds from head to answer", ["path"], buckets=SECONDS_BUCKETS, registry=registry
        )
        self._texts = Counter("sentiment_texts", "Texts accepted", registry=registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and look at its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        service: Service = self._fastapi.state.service
        exchange = Exchange(scope, receive, send, service)
        # HEAD is GET, and the server sends no body
        inner = {**scope, "method": "GET"} if scope["method"] == "HEAD" else dict(scope)
        try:
            await self._app(inner, exchange.receive, exchange.send)
        except asyncio.CancelledError:  # `ANSWER_SECONDS` after it was asked to stop
            if exchange.status is not None or not service.is_draining:
                raise
            exchange.stop_reading()
            content = {"error": "the server stopped before the request was answered", "error_type": "Unhealthy"}
            await JSONResponse(content, 503)(inner, exchange.receive, exchange.send)
        except Exception:
            log.exception(
                "%s %.200r failed", scope["method"], scope["path"]
            )  # %r: the path may hold control characters
            if exchange.status is not None:
                raise  # the answer had begun; the server closes the connection
            content = {"error": "internal error; see the server's log", "error_type": "Backend"}
            await JSONResponse(content, 500)(inner, exchange.receive, exchange.send)
        finally:
            service.held_bytes -= inner.get("n_bytes", 0)
            if inner.get("n_bytes", 0) > LARGE_BYTES:
                give_back_memory()
            seconds = time.perf_counter() - start
            self._note({**inner, "method": scope["method"]}, exchange, seconds)

    def _note(self, scope: Scope, exchange: "Exchange", seconds: float) -> None:
        """Write the line of the access log, without texts, and count."""
        status, n_texts = exchange.status or 499, scope.get("n_texts", 0)
        path = getattr(scope.get("route"), "path", "unknown")  # of the route, so that their number is bounded
        self._requests.labels(path, str(status)).inc()
        self._duration.labels(path).observe(seconds)
        if status == 200:
            self._texts.inc(n_texts)
        entry = {
            "time": round(time.time(), 3),
            "request_id": exchange.request_id.decode(),
            "client": (scope.get("client") or ("",))[0],
            "method": scope["method"],
            "path": scope["path"][:200],
            "status": status,
            "ms": round(1000 * seconds, 1),
            "bytes": scope.get("n_bytes", 0),
            "texts": n_texts,
        }
        access_log.info("%s", json.dumps(entry))


class Exchange:
    """One request and its answer.

    Attributes:
        request_id: the client's, or a new one.
        status: of the answer; None before it.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, service: Service) -> None:
        headers = dict(scope["headers"])
        given_id = headers.get(b"x-request-id", b"")
        self.request_id = given_id if REQUEST_ID.fullmatch(given_id) else uuid.uuid4().hex.encode()
        self.status: int | None = None
        self._receive = receive
        self._send = send
        self._service = service
        self._is_read = headers.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in headers
        self._waits_for_100 = headers.get(b"expect", b"").lower() == b"100-continue"

    async def receive(self) -> Message:
        """Return the next part of the request."""
        message = await self._receive()
        self._waits_for_100 = False
        if message["type"] != "http.request" or not message.get("more_body"):
            self._is_read = True
        return message

    def stop_reading(self) -> None:
        """Take the request as read: the answer does not wait for the rest of it."""
        self._is_read = True

    async def send(self, message: Message) -> None:
        """Send the next part of the answer."""
        if message["type"] == "http.response.start":
            if not self._is_read and not self._waits_for_100:
                await self._drop_rest()
            self.status = message["status"]
            headers = [*message.get("headers", []), (b"x-request-id", self.request_id), *SECURITY_HEADERS]
            if not self._is_read or self._service.is_draining:
                headers.append((b"connection", b"close"))
            message = {**message, "headers": headers}
        await self._send(message)

    async def _drop_rest(self) -> None:
        """Read the rest of the request, for a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(REST_SECONDS):
                while not self._is_read:
                    await self.receive()


class HttpProtocol(H11Protocol):
    """Sends 400 without a body to a malformed HEAD, at which uvicorn fails with a traceback."""

    def send_400_response(self, msg: str) -> None:
        """Answer, and close the connection."""
        with suppress(h11.LocalProtocolError):  # of the body, after the head is sent
            super().send_400_response(msg)
        self.transport.close()


class DrainingServer(uvicorn.Server):
    """Stops in two steps: says that it is not ready but answers, then accepts no connection and answers what waits.

    A load balancer needs the first step: until it has seen /health fail, it sends new connections.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI, drain_seconds: float) -> None:
        super().__init__(config)
        self._app = app
        self._drain_seconds = drain_seconds
        self._drained_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop on a signal, with exit status 0; Ctrl-C at once, and the second one without answers."""
        if sig == signal.SIGINT:
            self.force_exit = self._drained_at is not None
            self._drained_at = time.monotonic()
        elif self._drained_at is None:
            self._drained_at = time.monotonic() + self._drain_seconds
        if self.started:  # else nobody asks /health yet
            self._app.state.service.is_draining = True

    async def on_tick(self, counter: int) -> bool:
        """Return whether the first step is over; called ten times a second."""
        if self._drained_at is not None and time.monotonic() >= self._drained_at:
            self.should_exit = True
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say where.

        Raises:
            ParamsError: another server that was started at the same time listens on the port.
        """
        try:
            for listener in sockets or []:
                listener.listen(self.config.backlog)
        except OSError as error:
            raise ParamsError(f"{error.strerror}; choose another --port") from None
        await super().startup(sockets)
        for listener in sockets or []:
            address, port = listener.getsockname()[:2]
            host = f"[{address}]" if ":" in address else address
            log.info("serving on http://%s:%d (Ctrl-C stops)", host, port)


def run(classifier: SentimentClassifier, settings: Settings, listener: socket.socket, drain_seconds: float) -> None:
    """Serve on a bound socket until SIGTERM or Ctrl-C."""
    app = create_app(classifier, settings)
    config = uvicorn.Config(
        app,
        http=HttpProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=ANSWER_SECONDS,
    )
    gc.collect()
    gc.freeze()  # or now and then the event loop stands for 0.1 s, while the model's objects are looked through
    DrainingServer(config, app, drain_seconds).run(sockets=[listener])
    log.info("stopped")


def ray_application(arguments: Mapping[str, Any]) -> "Application":
    """Return the application for Ray Serve, which deploy/ray-serve.yaml imports.

    Args:
        arguments: `classifier`, its folder on every node; others as the attributes of `Settings`. The key that clients
            must send comes from the environment variable SENTIMENT_API_KEY of the replicas.
    """
    from ray import serve

    def build() -> FastAPI:
        values = dict(arguments)
        folder = Path(values.pop("classifier"))
        settings = Settings(**values, api_key=os.environ.get(ENV_KEY))
        return create_app(SentimentClassifier.load(folder), settings)

    deployment = cast(serve.Deployment, serve.deployment(serve.ingress(build)()))
    return deployment.options(name="Sentiment").bind()


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except (OSError, UnicodeError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ParamsError(f"{host}:{port}: {reason}; choose another --host or --port") from None
    return listener


def is_loopback(listener: socket.socket) -> bool:
    """Return whether only this machine reaches a bound socket."""
    return ipaddress.ip_address(listener.getsockname()[0].split("%")[0]).is_loopback
