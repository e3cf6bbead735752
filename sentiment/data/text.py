"""Text columns in; the text of a review and its 64-bit hash out."""

import unicodedata
from collections.abc import Sequence
from hashlib import blake2b

SEPARATOR = ". "  # between title and body, as if the title were a sentence


def join_text(columns: Sequence[str]) -> str:
    """Join the text columns of one review; empty ones are left out.

    The last column is the body: where it is empty there is no review, whatever the title is, and the text is "".
    """
    stripped = [column.strip() for column in columns]
    return SEPARATOR.join(column for column in stripped if column) if stripped[-1] else ""


def normalize_text(text: str) -> str:
    """Fold case, width and white space (Unicode NFKC), so that texts which read the same get the same hash."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def hash64(*values: str) -> int:
    """Return the 64-bit BLAKE2b hash of the values, one per line; uniform from 0 to 2**64 - 1."""
    return int.from_bytes(blake2b("\n".join(values).encode(), digest_size=8).digest(), "big")
