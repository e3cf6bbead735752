"""How many texts the server holds at one time."""

from threading import Lock

from sentiment.serving.errors import OverloadedError


class Capacity:
    """Places for texts that wait or are being computed, for any thread to take and release."""

    def __init__(self, max_texts: int) -> None:
        self._max_texts = max_texts
        self._lock = Lock()
        self.n_texts = 0  # places that are taken

    def check(self, n_texts: int) -> None:
        """Raise OverloadedError where there are not so many places; an empty queue takes a request of any size."""
        if self.n_texts and self.n_texts + n_texts > self._max_texts:
            raise OverloadedError(
                f"the queue is full: {self.n_texts:,} texts wait, the limit is {self._max_texts:,}; try again"
            )

    def take(self, n_texts: int) -> None:
        """Take places; raises as `check`."""
        with self._lock:
            self.check(n_texts)
            self.n_texts += n_texts

    def release(self, n_texts: int) -> None:
        """Give places back."""
        with self._lock:
            self.n_texts -= n_texts
