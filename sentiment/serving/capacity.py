"""The limit on the texts that the server holds at one time; a request that would exceed it raises OverloadedError."""

from threading import Lock

from sentiment.serving.errors import OverloadedError


class Capacity:
    """Slots for texts that wait or are being computed, which any thread can acquire and release."""

    def __init__(self, max_texts: int) -> None:
        self._max_texts = max_texts
        self._lock = Lock()
        self.n_texts = 0  # slots in use

    def check(self, n_texts: int) -> None:
        """Raise OverloadedError where too few slots are free; an empty queue takes a request of any size."""
        if self.n_texts and self.n_texts + n_texts > self._max_texts:
            raise OverloadedError(
                f"the queue is full: {self.n_texts:,} texts wait, the limit is {self._max_texts:,}; try again"
            )

    def acquire(self, n_texts: int) -> None:
        """Acquire a slot for each text; raises as `check`."""
        with self._lock:
            self.check(n_texts)
            self.n_texts += n_texts

    def release(self, n_texts: int) -> None:
        """Free the slots of texts."""
        with self._lock:
            self.n_texts -= n_texts
