"""Runs the application: one process, one port, and an end that loses no accepted request."""

import asyncio
import gc
import logging
import signal
import socket
from types import FrameType

import uvicorn

from sentiment.serving.address import url_of
from sentiment.serving.app import Options, create_app
from sentiment.serving.model_process import Load
from sentiment.serving.protocol import BoundedHttpProtocol

log = logging.getLogger(__name__)

DRAIN_SECONDS = 1.0  # in which answers on busy connections carry `connection: close`
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

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say where."""
        await super().startup(sockets)
        for listener in sockets or []:
            log.info("serving on %s (Ctrl-C stops)", url_of(listener))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then stop as uvicorn does."""
        self._options.draining = True
        for server in self.servers:
            server.close()
        await asyncio.sleep(DRAIN_SECONDS)
        await super().shutdown(sockets)


def run(load: Load, options: Options, listener: socket.socket) -> None:
    """Serve what `load` returns on a bound socket, until SIGTERM or Ctrl-C."""
    config = uvicorn.Config(
        create_app(load, options),
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
    gc.collect()
    gc.freeze()  # or now and then the event loop stands for 0.1 s, while the model's objects are looked through
    DrainingServer(config, options).run(sockets=[listener])
    log.info("stopped")
