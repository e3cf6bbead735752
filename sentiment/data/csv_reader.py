"""Read the records of a CSV file one by one, with a `RowError` for each broken one.

The standard library's reader in strict mode. pandas fills up short rows, cuts texts at a NUL byte, and reads the rest
of the file into memory after an unclosed quote. `pyarrow.csv` with an `invalid_row_handler` takes an eighth of the
processor time (470,000 rows, 170 MB: 0.3 s, this module 2.4 s), but it accepts text after a closing quote, so that an
unclosed quote silently joins two rows, it accepts NUL bytes, and it loses all rows after a quote that nothing closes.
"""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import IO, AnyStr

from sentiment.common.errors import InputError, one_line

MAX_FIELD_LENGTH = 131_072  # characters, more than any review has; it bounds the memory of a chunk of rows
MAX_LINE = 16 * 2**20  # characters, or bytes; of a quoted field, each line counts for itself
MAX_SHOWN_NAMES, MAX_SHOWN_LENGTH = 20, 40  # columns in a message, and characters of each
MAX_LENGTH_READ = 1_048_576  # where reading of one field ends; it bounds what a quote that is never closed holds

UTF8 = "utf-8"
_NOT_DECODED = re.compile("[\udc80-\udcff]")  # how "surrogateescape" decodes a byte that is not of the encoding
_REPLACED = "\N{REPLACEMENT CHARACTER}"  # how bytes of UTF-16 and UTF-32 are decoded that mean no character


@dataclass(frozen=True)
class RowError:
    """What is wrong with one record, as a sentence without subject: "has 3 fields, expected 5 as in the header"."""

    reason: str


@dataclass(frozen=True)
class Dialect:
    """How a record is divided.

    Attributes:
        delimiter: between fields.
        quote: around a field that holds a delimiter, a line end or a quote, which is doubled; None for no such fields.
        escape: before a character that means itself; None for no such character.
    """

    delimiter: str = ","
    quote: str | None = '"'
    escape: str | None = None

    def records(self, lines: Iterator[str]) -> Iterator[list[str]]:
        """Return the records; raises csv.Error where one is malformed."""
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote,
            escapechar=self.escape,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            strict=True,
        )


def read_line(file: IO[AnyStr], name: str) -> AnyStr:
    """Return the next line, empty at the end; raises InputError where it does not end within `MAX_LINE`.

    A small .gz can hold a line that would fill the memory. A text that is not in its encoding is an InputError, too.
    """
    try:
        line = file.readline(MAX_LINE)
    except UnicodeError as error:  # UTF-16 without a byte order mark
        raise InputError(f"{name}: is not in its encoding: {one_line(error)}") from None
    if len(line) == MAX_LINE:
        raise InputError(f"{name}: a line has {MAX_LINE:,} characters or more; expected a review on each")
    return line


IS_UTF16 = (
    "is UTF-16; set prepare.encoding to utf-16, as `sentiment init` does (labeling reads so with --as-prepared), "
    "or convert it by iconv -f utf-16"
)
# how files begin that are no text, and what to do with them
SIGNATURES = {
    b"\x1f\x8b": "is compressed by gzip; rename it to end in .gz",
    b"PK\3\4": "is a zip or an Excel file; rename it to end in .zip or .xlsx",
    b"\xff\xfe": IS_UTF16,
    b"\xfe\xff": IS_UTF16,
    b"PAR1\x15": "is a Parquet file; rename it to end in .parquet",
    b"\xd0\xcf\x11\xe0": "is an Excel file of before 2007; save it as .xlsx or .csv",
    b"\x28\xb5\x2f\xfd": "is compressed by zstd; decompress it by zstd -d",
    b"\xfd7zXZ": "is compressed by xz; decompress it by xz -d",
    b"BZh91AY": "is compressed by bzip2; decompress it by bzip2 -d",
}


def what_it_is(start: bytes) -> str | None:
    """Return what a file is that begins so, and what to do with it; None for text."""
    return next((advice for signature, advice in SIGNATURES.items() if start.startswith(signature)), None)


class BoundedLines(io.TextIOWrapper):
    """A text whose lines are read by `read_line`; raises InputError where it begins as what is no text."""

    source = "the input"  # its name for messages
    _is_first = True

    def __next__(self) -> str:  # type: ignore[override]  # bytes in the base class that all files share
        line = read_line(self, self.source)
        if self._is_first and self.errors == "surrogateescape":
            self._is_first = False
            with suppress(UnicodeEncodeError):
                if found := what_it_is(line[:8].encode(self.encoding.removesuffix("-sig"), "surrogateescape")):
                    raise InputError(f"{self.source}: {found}")
        if line:
            return line
        raise StopIteration


def as_text(file: IO[bytes], newline: str, encoding: str = UTF8, source: str = "the input") -> IO[str]:
    """Decode text, with or without a byte order mark; `find_invalid_text` finds bytes that are not of the encoding."""
    name = codecs.lookup(encoding).name
    errors = "replace" if name.startswith(("utf-16", "utf-32")) else "surrogateescape"
    lines = BoundedLines(file, encoding="utf-8-sig" if name == UTF8 else name, errors=errors, newline=newline)
    lines.source = source
    return lines


def find_invalid_text(text: str, encoding: str = UTF8) -> RowError | None:
    """Return what is wrong with text decoded by `as_text`: a NUL byte or a byte that is not of the encoding."""
    if "\0" in text:
        return RowError("holds a NUL byte")
    if text.isascii():
        return None
    advice = "save the file as UTF-8" if encoding == UTF8 else "name its encoding"
    if invalid := _NOT_DECODED.search(text):
        return RowError(f"holds byte 0x{ord(invalid[0]) - 0xDC00:02x}, which is not {encoding.upper()}; {advice}")
    if encoding != UTF8 and _REPLACED in text:
        return RowError(f"holds bytes that are not {encoding.upper()}; {advice}")
    return None


def read_records(
    source: str,
    file: IO[bytes],
    dialect: Dialect = Dialect(),
    encoding: str = UTF8,
    has_header: bool = True,
    skip: int = 0,
) -> tuple[list[str], Iterator[list[str] | RowError]]:
    """Return the names of the columns, and an iterator over the records without blank lines.

    A broken record yields one `RowError` in its position; after it, reading continues at the next line.

    Args:
        source: the file's name, for the message.
        file: opened for reading bytes.
        dialect: how its records are divided.
        encoding: of the file.
        has_header: whether the first record names the columns; else their names are their numbers from 1.
        skip: lines above the first record.

    Raises:
        InputError: there is no record, or the first one is broken.
    """
    lines = as_text(file, "", encoding, source)
    for _ in range(skip):
        read_line(lines, source)
    records = parse_records(ReplayableLines(lines), dialect, encoding)
    first = next(records, None)
    if first is None:
        raise InputError(f"{source}: is empty, expected {'a header row and ' if has_header else ''}reviews")
    if isinstance(first, RowError):
        raise InputError(f"{source}: the {'header' if has_header else 'first row'} {first.reason}")
    names = first if has_header else [str(number) for number in range(1, len(first) + 1)]
    below = "as in the header" if has_header else "as in the first row"
    rest = records if has_header else chain([first], records)
    return names, (_check_field_count(record, len(names), below) for record in rest)


def column_indices(source: str, header: list[str], columns: list[str]) -> list[int]:
    """Return the index of each column in the header; raises InputError for missing columns, or a repeated one."""
    counts = Counter(header)
    if missing := [column for column in columns if column not in counts]:
        which = f"column '{missing[0]}' is" if len(missing) == 1 else f"columns {', '.join(map(repr, missing))} are"
        raise InputError(
            f"{source}: {which} missing; found {_shown_names(header) or 'none'}{_delimiter_advice(header)}"
        )
    for column in columns:
        if counts[column] > 1:
            raise InputError(f"{source}: column '{column}' occurs {counts[column]} times in the header, expected 1")
    index_of = {name: index for index, name in enumerate(header)}
    return [index_of[column] for column in columns]


def _delimiter_advice(header: list[str]) -> str:
    """Return what to do with a table that was read as one column, because other signs divide its fields."""
    mark = next((mark for mark in ";\t|" if len(header) == 1 and mark in header[0]), None)
    advice = "`sentiment init` sets prepare.delimiter, and predict, insights and drift read so with --as-prepared"
    return f"; {mark!r} divides its fields: {advice}" if mark else ""


def _shown_names(header: list[str]) -> str:
    """Return the names of columns for a message; a file without a header has a review in their place."""
    shown = header[:MAX_SHOWN_NAMES]
    names = [repr(name if len(name) <= MAX_SHOWN_LENGTH else f"{name[:MAX_SHOWN_LENGTH]}…") for name in shown]
    return ", ".join([*names, *(["…"] if len(header) > MAX_SHOWN_NAMES else [])])


class ReplayableLines:
    """The lines of a file; the lines of the record being read are kept, so that they can be read again.

    Attributes:
        current: the lines read since the caller last emptied it.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._replay: list[str] = []  # last one first
        self.current: list[str] = []

    def __iter__(self) -> "ReplayableLines":
        return self

    def __next__(self) -> str:
        line = self._replay.pop() if self._replay else next(self._file)
        self.current.append(line)
        return line

    def rewind_to_second_line(self) -> None:
        """Make the second line of the record being read the next one."""
        self._replay += reversed(self.current[1:])


def parse_records(lines: ReplayableLines, dialect: Dialect, encoding: str = UTF8) -> Iterator[list[str] | RowError]:
    """Yield the records of lines, the header too, without blank lines; a `RowError` for each broken one."""
    csv.field_size_limit(MAX_LENGTH_READ)
    reader = dialect.records(lines)
    while True:
        lines.current = []
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            lines.rewind_to_second_line()
            reader = dialect.records(lines)
            yield RowError(_parse_error_reason(error, len(lines.current)))
            continue
        invalid = (find_invalid_text(line, encoding) for line in lines.current)
        if row_error := next(filter(None, invalid), None):
            yield row_error
        elif record:
            yield _check_field_lengths(record, lines.current)


def _parse_error_reason(error: csv.Error, n_lines: int) -> str:
    reason = str(error)
    if "end of data" in reason:
        return "has a quoted field that is never closed"
    if "field limit" not in reason:
        return f"is malformed ({reason})"
    if n_lines > 1:
        return f"has a quoted field that is not closed within {MAX_LENGTH_READ:,} characters"
    return f"has a field of more than {MAX_LENGTH_READ:,} characters, expected at most {MAX_FIELD_LENGTH:,}"


def _check_field_lengths(record: list[str], lines: list[str]) -> list[str] | RowError:
    # the length of the lines rules out most records at once
    if sum(map(len, lines)) > MAX_FIELD_LENGTH and (longest := max(map(len, record))) > MAX_FIELD_LENGTH:
        return RowError(f"has a field of {longest:,} characters, expected at most {MAX_FIELD_LENGTH:,}")
    return record


def _check_field_count(record: list[str] | RowError, n_fields: int, like: str) -> list[str] | RowError:
    if isinstance(record, RowError) or len(record) == n_fields:
        return record
    return RowError(f"has {len(record)} fields, expected {n_fields} {like}")
