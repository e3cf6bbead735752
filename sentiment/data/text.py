"""The text of a review, and the hashes by which it is known."""

import unicodedata
from collections.abc import Sequence
from hashlib import blake2b

SEPARATOR = ". "  # between title and body, as if the title were a sentence


def join_text(parts: Sequence[str]) -> str:
    """Join the text columns of one review; empty ones are left out.

    The last column is the body: where it is empty there is no review, whatever the title says, and the text is "".
    """
    stripped = [part.strip() for part in parts]
    return SEPARATOR.join(part for part in stripped if part) if stripped[-1] else ""


def normalize_text(text: str) -> str:
    """Fold case, width and white space, so that texts which read the same hash the same."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def hash64(*parts: str) -> int:
    """64-bit BLAKE2b hash of the parts, a line each; uniform over 0 to 2**64 - 1."""
    return int.from_bytes(blake2b("\n".join(parts).encode(), digest_size=8).digest(), "big")
