"""Run the `main` of a command: logging, one-line errors, signals, exit status."""

import gc
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from sentiment.common.errors import PipelineError, one_line

NEW_OBJECTS = 10_000  # after which the cyclic garbage collector runs; 700 to 2,000 by default
EXIT_BY_SIGNAL = 128  # plus the signal's number, as a shell reports a process that a signal ended

log = logging.getLogger(__name__)


def run_main(main: Callable[[], int | None]) -> NoReturn:
    """Run `main` and exit; an error that a person can fix is shown as one line on standard error.

    Disk errors (full, read-only, not permitted) and too little memory are among them. Any other exception is a defect
    of this project and keeps its traceback. Exit status: `main`'s, 1 after an error, 130 after Ctrl-C, 141 when
    the reader of standard output is gone, 143 after SIGTERM, 129 after SIGHUP. Files that are half written are removed
    in each case.

    The garbage collector searches rarely, and not at the end. Importing torch makes 160,000 objects that live as long
    as the process, and searching them took a quarter of the time of `sentiment predict`.
    """
    gc.set_threshold(NEW_OBJECTS)
    _replace_closed_streams()
    shown = logging.StreamHandler(sys.stderr)
    shown.setFormatter(_PrintableFormatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[shown])
    for library in ("transformers", "huggingface_hub", "httpx2", "aiobotocore", "botocore", "dvclive"):
        logging.getLogger(library).setLevel(logging.ERROR)
    with _signals_as_exceptions():
        status = _status_of(main)
        gc.freeze()  # hides all objects from the search at exit
        sys.exit(status)


def printable(text: str) -> str:
    """Return the text on one line, a blank in the place of every character that could move or color a terminal."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else " " for character in text)


class _PrintableFormatter(logging.Formatter):
    """Shows messages line by line as `printable` does: an error can quote a review, a file name or an answer."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name in the standard library
        """Return the message."""
        return "\n".join(map(printable, super().formatMessage(record).split("\n")))


_asked: list[int] = []  # signals that came


class _SignalError(BaseException):
    """A signal that asks the process to end; raised, so that `finally` and `with` clean up."""


def _status_of(main: Callable[[], int | None]) -> int | None:
    try:
        status = main()
        sys.stdout.flush()  # here, where a failure can still be reported
    except PipelineError as error:
        log.error("error: %s", error)
    except BrokenPipeError:  # `| head` has read enough
        _discard_output()
        return EXIT_BY_SIGNAL + signal.SIGPIPE
    except OSError as error:
        _discard_output()
        where = f"{error.filename}: " if error.filename else ""
        log.error("error: %s%s", where, error.strerror or one_line(error))
    except subprocess.TimeoutExpired as error:
        command = error.cmd if isinstance(error.cmd, str) else " ".join(map(str, error.cmd))
        log.error("error: %s took longer than %g s", command, round(error.timeout, 1))
    except MemoryError as error:
        log.error("error: not enough memory: %s", one_line(error))
    except KeyboardInterrupt:
        log.error("stopped by Ctrl-C")
        return EXIT_BY_SIGNAL + signal.SIGINT
    except _SignalError as error:
        number = signal.Signals(error.args[0])
        log.error("stopped by %s", number.name)
        return EXIT_BY_SIGNAL + number
    else:
        return status
    return 1


def stop_if_asked() -> None:
    """End as a signal asked, where its exception was lost: Python drops one that is raised in a destructor."""
    if _asked:
        raise _SignalError(_asked[0])


@contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise an exception; an ignored signal (`nohup`) stays ignored."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        _asked.append(number)
        raise _SignalError(number)

    _asked.clear()
    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) == signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _replace_closed_streams() -> None:
    """Give closed standard streams a descriptor that fails when used, so that no other file gets their number.

    Standard error is different: what is written there is discarded.
    """
    if sys.stdin is None:
        sys.stdin = open(os.open(os.devnull, os.O_WRONLY))  # noqa: PTH123, SIM115 - lives as long as the process
    if sys.stdout is None:
        sys.stdout = open(os.open(os.devnull, os.O_RDONLY), "w")  # noqa: PTH123, SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115


def _discard_output() -> None:
    """Point standard output to nowhere, or Python writes what is left in its buffer at exit and fails again."""
    try:
        descriptor = sys.stdout.fileno()
    except OSError:  # not a file, as under a test runner
        return
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
