"""What the server accepts, and how much at once."""

from collections.abc import Sequence
from dataclasses import dataclass

from sentiment.serving.errors import TooLargeError


@dataclass(frozen=True)
class Limits:
    """Limits of the server, each an option of `sentiment serve`.

    Attributes:
        queue_texts: texts that wait or are computed; more get status 429. A request with more texts than this is
            accepted when nothing else waits.
        max_texts: of one request.
        max_chars: of one text.
        max_body_bytes: of one request.
        body_timeout: seconds in which a body must arrive.
    """

    queue_texts: int = 4_096
    max_texts: int = 4_096
    max_chars: int = 100_000
    max_body_bytes: int = 8 * 2**20
    body_timeout: float = 10.0

    def check(self, texts: Sequence[str]) -> None:
        """Raise TooLargeError for too many texts, or one that is too long."""
        self.check_count(len(texts))
        longest = max(map(len, texts), default=0)
        if longest > self.max_chars:
            index = next(index for index, text in enumerate(texts) if len(text) > self.max_chars)
            raise TooLargeError(f"text {index} has {len(texts[index]):,} characters; the limit is {self.max_chars:,}")

    def check_count(self, n_texts: int) -> None:
        """Raise TooLargeError for too many texts; before they are looked at one by one."""
        if n_texts > self.max_texts:
            raise TooLargeError(f"{n_texts:,} texts in one request; the limit is {self.max_texts:,}")
