"""The log of a job: lines in, a local file and numbered objects in the storage out, without secrets."""

import os
import threading
from pathlib import Path

from .layout import log_part
from .store import Store

SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
MAX_LINE = 65_536  # bytes; a longer line is sent in pieces
REMOVED = b"***"


class Log:
    """What a job has written, and how much of it the storage has."""

    def __init__(self, store: Store, path: Path) -> None:
        self._store = store
        self._file = path.open("ab")
        self._secrets = [os.environ[name].encode() for name in SECRETS if os.environ.get(name)]
        self._lock = threading.Lock()
        self._uploading = threading.Lock()
        self._pending = b""
        self.parts = 0
        self.last_error = ""  # a stage's last line of an error; DVC's first one where no stage has any

    def line(self, text: str) -> None:
        """Write a line of the runner's own."""
        self.write(f"remote: {text}\n".encode())

    def write(self, line: bytes) -> None:
        """Write a complete line, or a piece of a very long one."""
        for secret in self._secrets:
            line = line.replace(secret, REMOVED)
        if line.startswith(b"error: ") or (line.startswith(b"ERROR: ") and not self.last_error):
            self.last_error = line.decode("utf-8", "replace").strip()[len("error: ") :]
        with self._lock:
            self._pending += line
            self._file.write(line)
            self._file.flush()

    def upload(self) -> None:
        """Put what is new into the storage as the next part; raises botocore's errors, after which nothing is lost."""
        with self._uploading:
            with self._lock:
                part = self._pending
            if not part:
                return
            self._store.put(log_part(self.parts + 1), part)
            with self._lock:
                self._pending = self._pending[len(part) :]
                self.parts += 1
