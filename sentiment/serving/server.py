"""Runs the application: one process, one port, and an end that loses no accepted request."""

import asyncio
import logging
import signal
import socket
from types import FrameType

import uvicorn

from sentiment.common.errors import ParamsError
from sentiment.inference.classifier import SentimentClassifier
from sentiment.serving.app import Options, create_app
from sentiment.serving.limits import Limits
from sentiment.serving.protocol import BoundedHttpProtocol

__all__ = ["Limits", "Options", "SentimentClassifier", "run"]

log = logging.getLogger(__name__)

DRAIN_SECONDS = 1.0  # in which busy connections are told to close behind their answers
ANSWER_SECONDS = 25  # for what was accepted; SageMaker kills 30 s after SIGTERM
KEEP_ALIVE_SECONDS = 75  # longer than a proxy's, which then is the one that closes


class DrainingServer(uvicorn.Server):
    """Stops in three steps: accepts no connection, lets each connection end behind an answer, answers what waits."""

    def __init__(self, config: uvicorn.Config, options: Options) -> None:
        super().__init__(config)
        self._options = options

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop on a signal, with exit status 0; the second Ctrl-C does not wait for answers."""
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then stop as uvicorn does."""
        self._options.draining = True
        for server in self.servers:
            server.close()
        await asyncio.sleep(DRAIN_SECONDS)
        await super().shutdown(sockets)


def run(classifier: SentimentClassifier, options: Options, host: str, port: int) -> None:
    """Serve until SIGTERM or Ctrl-C; port 0 takes a free one.

    Raises:
        ParamsError: the address is in use, or not of this machine.
    """
    listener = bind(host, port)
    config = uvicorn.Config(
        create_app(classifier, options),
        http=BoundedHttpProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=ANSWER_SECONDS,
    )
    address, bound_port = listener.getsockname()[:2]
    shown = f"[{address}]" if ":" in address else address
    log.info("serving on http://%s:%d (Ctrl-C stops)", shown, bound_port)
    DrainingServer(config, options).run(sockets=[listener])
    log.info("stopped")


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise ParamsError(f"{host}:{port}: {error.strerror or error}; choose another --host or --port") from None
    return listener
