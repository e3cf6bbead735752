"""Runs a command as a list of arguments; its lines go to the log; it ends with the runner, however that ends."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from .log import MAX_LINE, Log

GRACE_S = 20.0  # between SIGINT and SIGKILL
# A guardian in a process group of its own: its standard input ends when the runner is gone, even by SIGKILL.
GUARDIAN = """
import os, signal, sys
if not os.read(0, 1):
    try:
        os.killpg(int(sys.argv[1]), signal.SIGKILL)
    except ProcessLookupError:
        sys.exit()
"""


class Interrupted(Exception):  # noqa: N818 - a signal, not an error
    """The job was asked to stop; the message says by whom."""


class Commands:
    """Runs one command at a time, and ends it when the job is asked to stop."""

    def __init__(self, log: Log, folder: Path, environment: Mapping[str, str]) -> None:
        self._log, self._folder = log, folder
        self.environment = dict(environment)
        self._reason = ""
        self._asked = threading.Event()

    def stop(self, reason: str) -> None:
        """Ask to stop, once: the command that runs is ended, and no other begins until `resume`."""
        if not self._reason:  # the request is heard again with every heartbeat
            self._reason = reason
            self._asked.set()

    def resume(self) -> None:
        """Allow commands again, such as those that save what is there."""
        self._asked.clear()

    def check(self) -> None:
        """Raise Interrupted if the job was asked to stop."""
        if self._asked.is_set():
            raise Interrupted(self._reason)

    def run(self, *arguments: str, limit: float | None = None) -> int:
        """Run a command to its end; return its exit status, -9 where it ran longer than `limit` seconds.

        Raises:
            Interrupted: the job was asked to stop; the command and its children have ended.
        """
        self.check()
        process = subprocess.Popen(
            arguments, cwd=self._folder, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        guardian = subprocess.Popen(
            [sys.executable, "-c", GUARDIAN, str(process.pid)], stdin=subprocess.PIPE, start_new_session=True
        )
        pump = threading.Thread(target=self._pump, args=(process,), daemon=True)
        pump.start()
        try:
            self._wait(process, limit)
        finally:
            _signal_group(process, signal.SIGKILL)
            guardian.communicate(b"x")
            pump.join(GRACE_S)
        self.check()
        return process.returncode

    def output(self, *arguments: str) -> str:
        """Run a short command and return its output; raises CalledProcessError."""
        done = subprocess.run(
            arguments, cwd=self._folder, env=self.environment, check=True, capture_output=True, text=True, timeout=300
        )
        return done.stdout.strip()

    def _wait(self, process: "subprocess.Popen[bytes]", limit: float | None) -> None:
        waited = 0.0
        while process.poll() is None:
            if self._asked.wait(0.2):
                _signal_group(process, signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(GRACE_S)
                _signal_group(process, signal.SIGKILL)
                process.wait()
                return
            waited += 0.2
            if limit is not None and waited > limit:
                _signal_group(process, signal.SIGKILL)
                process.wait()

    def _pump(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout
        with process.stdout as lines:
            while line := lines.readline(MAX_LINE):
                self._log.write(line.replace(b"\r", b"\n") if line.endswith(b"\n") else line + b"\n")


def _signal_group(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
