"""Run the application: in one process until SIGTERM, or as replicas of Ray Serve."""

import contextlib
import gc
import ipaddress
import logging
import os
import signal
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from sentiment.common.errors import ParamsError
from sentiment.inference.classifier import SentimentClassifier
from sentiment.serving.app import create_app
from sentiment.serving.protocols import Settings

if TYPE_CHECKING:
    from ray.serve import Application

log = logging.getLogger(__name__)

ANSWER_SECONDS = 20  # for what was accepted; SageMaker kills 30 s after SIGTERM
KEEP_ALIVE_SECONDS = 75  # longer than a proxy's, which then is the one that closes


class Protocol(H11Protocol):
    """Answers 400 without a body to a malformed HEAD, at which uvicorn fails with a traceback."""

    def send_400_response(self, msg: str) -> None:
        """Answer, and close the connection."""
        with contextlib.suppress(h11.LocalProtocolError):  # of the body, after the head is sent
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
        """Listen, and say where."""
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
        http=Protocol,
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
        settings = Settings(**values, api_key=os.environ.get("SENTIMENT_API_KEY") or None)
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
