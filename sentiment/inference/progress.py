"""A progress bar for `sentiment predict`: bytes of the input, reviews labeled, time left."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from tqdm import tqdm

from sentiment.inference.batches import InputBatch
from sentiment.inference.streams import InputFile


class Progress:
    """Counts bytes where the size of the input is known, else reviews.

    A batch is read long before it is labeled, so the bytes of a batch are counted text by text.
    """

    def __init__(self, bar: "tqdm[Any]", source: InputFile | None) -> None:
        self.bar = bar
        self._source = source
        self._reviews = self._position = 0
        self._bytes_per_text = 0.0
        self._done = 0.0

    def start(self, batch: InputBatch) -> None:
        """Note how many bytes were read for a batch."""
        if self._source is not None and self._source.size:
            # a text wrapper closes the file when the last line has been read
            read = self._source.size if self._source.raw.closed else self._source.raw.tell()
            position = max(self._position, min(read, self._source.size))
            self._bytes_per_text = (position - self._position) / max(1, sum(map(bool, batch.texts)))
            self._done, self._position = float(self._position), position

    def update(self, n_texts: int) -> None:
        """Count texts as labeled."""
        self._reviews += n_texts
        if self._source is None or not self._source.size:
            self.bar.update(n_texts)
            return
        self._done = min(self._position, self._done + n_texts * self._bytes_per_text)
        self.bar.set_postfix_str(f"{self._reviews:,} reviews", refresh=False)
        self.bar.update(int(self._done) - self.bar.n)

    def finish(self) -> None:
        """Count what follows the last text, such as the end of a Parquet file."""
        if self._source is not None and self._source.size:
            self.bar.update(self._source.size - self.bar.n)


@contextmanager
def progress(source: InputFile | None, disable: bool | None, file: TextIO | None = None) -> Iterator[Progress]:
    """Show a bar on standard error (or `file`); `disable=None` shows it on a terminal only."""
    size = source.size if source else None
    unit, scale = ("B", True) if size else (" reviews", False)
    with tqdm(
        desc="predict", total=size, unit=unit, unit_scale=scale, unit_divisor=1024, disable=disable, file=file
    ) as bar:
        shown = Progress(bar, source)
        yield shown
        shown.finish()
