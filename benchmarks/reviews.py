"""Read the texts of a CSV file of reviews."""

from pathlib import Path

from sentiment.data.csv_reader import read_chunks
from sentiment.data.text import join_text


def read_texts(source: Path) -> list[str]:
    """Return the reviews of a CSV file in the columns of the sample, in file order."""
    chunks = read_chunks(source, ["Title", "Review Text"])
    texts = (join_text(parts) for chunk in chunks for parts in chunk.itertuples(index=False, name=None))
    return [text for text in texts if text]
