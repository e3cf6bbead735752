"""Run a function in a process of its own, with a connection to it.

child = ChildProcess(serve, settings)      # calls serve(connection, settings) there
child.connection.send(request)

`concurrent.futures.ProcessPoolExecutor` gives up all its work when one process dies, and cannot end a hanging process.
"""

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection

SECONDS_TO_END = 5


class ChildProcess:
    """A process that ends with this one, started by `spawn`: a forked one would inherit torch's threads half alive.

    Args:
        target: called there with a connection and the arguments; importable by name. It may wait for messages without
            end: when this side closes or dies, its EOFError ends the process.
        arguments: pickled.

    Attributes:
        process: of the operating system.
        connection: to `target`.
    """

    def __init__(self, target: Callable[..., None], *arguments: object) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, child_connection = context.Pipe()
        self.process = context.Process(target=_run, args=(target, child_connection, *arguments), daemon=True)
        self.process.start()
        child_connection.close()

    def stop(self) -> None:
        """End the process at once."""
        self.connection.close()
        self.process.kill()
        self.process.join(SECONDS_TO_END)


def _run(target: Callable[..., None], connection: Connection, *arguments: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends its processes
    try:
        target(connection, *arguments)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent has closed the connection, or died
