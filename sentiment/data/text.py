"""Text columns in; the text of a review out."""

from collections.abc import Sequence

SEPARATOR = ". "  # between title and body, as if the title were a sentence


def join_text(columns: Sequence[str]) -> str:
    """Join the text columns of one review; empty ones are left out.

    The last column is the body: where it is empty there is no review, whatever the title is, and the text is "".
    """
    stripped = [column.strip() for column in columns]
    return SEPARATOR.join(column for column in stripped if column) if stripped[-1] else ""
