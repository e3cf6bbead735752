"""Join the text of a review, decode and normalize it, and hash it; list the texts that an encoder was trained on."""

import html
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sentiment.common.errors import EncoderError

LENGTH = "length"  # the slice of the number of words, which is a column of no table
SEPARATOR = ". "  # between title and body, as if the title were a sentence
SEEN_TEXTS = "trained_on.npy"  # file in the folder of an encoder that was trained on reviews

# a tag, as it is or encoded itself, or an entity; no part can be long without one end, so the time is linear
MARKUP = re.compile(
    r"<(?:!--|/?[a-zA-Z])[^<>]*>|&lt;/?[a-zA-Z][^<>&]*&gt;|(&(?:#[0-9]+|#[xX][0-9a-fA-F]+|[a-zA-Z][a-zA-Z0-9]*);)"
)

Hashes = NDArray[np.uint64]


def join_text(columns: Sequence[str]) -> str:
    """Join the text columns of one review; empty ones are left out.

    The last column is the body: where it is empty there is no review, whatever the title is, and the text is "".
    """
    stripped = [column.strip() for column in columns]
    return SEPARATOR.join(column for column in stripped if column) if stripped[-1] else ""


def decode_html(text: str) -> str:
    """Return a text with entities decoded and a space in the place of each tag.

    >>> decode_html("Don&#39;t buy.<br />Size &lt; 6 &amp; thin")
    "Don't buy. Size < 6 & thin"
    """
    return "".join(piece for piece, _, _ in decoded_pieces(text))


def decoded_pieces(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield the pieces of `decode_html`, each with its start and end in the text that is decoded."""
    end = 0
    for match in MARKUP.finditer(text):
        yield text[end : match.start()], end, match.start()
        yield html.unescape(match[1]) if match[1] else " ", *match.span()
        end = match.end()
    yield text[end:], end, len(text)


def format_rating(rating: float) -> str:
    """Return a whole rating without decimals.

    >>> format_rating(5.0), format_rating(3.7)
    ('5', '3.7')
    """
    return str(int(rating)) if float(rating).is_integer() else str(rating)


def normalize_text(text: str) -> str:
    """Fold case, width and white space (Unicode NFKC), so that texts which read the same get the same hash."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def hash64(*values: str) -> int:
    """Return the 64-bit BLAKE2b hash of the values, one per line; uniform from 0 to 2**64 - 1."""
    return int.from_bytes(blake2b("\n".join(values).encode(), digest_size=8).digest(), "big")


def hash_texts(texts: Iterable[str]) -> Hashes:
    """Return the hash of each normalized text, in their order. # (n_texts,)"""
    return np.array([hash64(normalize_text(text)) for text in texts], dtype="<u8")


def read_seen_texts(encoder: Path) -> Hashes:
    """Return the hashes that an encoder's folder lists; none where it has no list.

    Raises:
        EncoderError: the list is damaged.
    """
    file = encoder / SEEN_TEXTS
    if not file.is_file():
        return np.empty(0, dtype="<u8")
    try:
        hashes = np.load(file, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise EncoderError(f"{file}: not a list of hashes ({error})") from None
    if hashes.dtype != np.dtype("<u8") or hashes.ndim != 1:
        raise EncoderError(f"{file}: {hashes.ndim}-dimensional {hashes.dtype}, expected a list of 64-bit hashes")
    return np.asarray(hashes)


def write_seen_texts(encoder: Path, hashes: Hashes) -> None:
    """Write the list into an encoder's folder, sorted, which hides the order of the texts."""
    np.save(encoder / SEEN_TEXTS, np.unique(hashes))
