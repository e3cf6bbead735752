"""Find out how a file of reviews is written: format, encoding, delimiter, quotes, header.

    layout, notes = sniff(Path("export.csv"))

Encodings: a byte order mark or every byte being UTF-8 is proof; else it is a guess, and a note says what it rests on.
Delimiter and quotes are those with which the strict reader of `csv_reader` finds the same number of fields in each
record. `csv.Sniffer` and clevercsv read a sample by lenient rules, so what they propose may not be readable here.
"""

import codecs
import io
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain, islice, takewhile
from pathlib import Path
from statistics import median
from typing import IO

from sentiment.common.errors import InputError
from sentiment.data.csv_reader import UTF8, Dialect, ReplayableLines, RowError, as_text, parse_records, what_it_is
from sentiment.data.readers import (
    ENDINGS,
    FASTTEXT,
    FileFormat,
    FormatName,
    Source,
    excel_rows,
    open_content,
    parts_of,
    starts_array,
    suffix,
)
from sentiment.data.values import read_rating

CHUNK = 2**20  # bytes
HEAD = 2**21  # bytes in which delimiter, quotes and header are looked for
N_RECORDS = 2_000
MIN_CONSISTENT = 0.9  # of the records, with the same number of fields
DELIMITERS = (",", ";", "\t", "|", "~", "^", "\x01")
QUOTES: tuple[tuple[str | None, str | None], ...] = (('"', None), ('"', "\\"), (None, None), ("'", None), (None, "\\"))
MAX_ABOVE = 10  # lines above a table
N_BELOW = 3  # rows of it, at least, beside its header
MAX_NAME = 60  # characters of a column's name
MAX_NAME_WORDS = 6

MARKS = {codecs.BOM_UTF8: UTF8, codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
         codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}  # fmt: skip
WESTERN = "windows-1252"
SIGNS = (
    b"\x80\x82\x84\x85\x91\x92\x93\x94\x95\x96\x97\x99\xa0\xa1\xa3\xa7"
    b"\xa8\xa9\xab\xae\xb0\xb2\xb3\xb4\xb7\xbb\xbc\xbd\xbe\xbf"
)
TYPOGRAPHY = frozenset(SIGNS.decode(WESTERN))  # quotes, dashes, currencies and such
# at the beginning of one JSON object: an array of objects under a key; a column under each key
ARRAY_IN_OBJECT = re.compile(r'"([^"\\]+)"\s*:\s*\[\s*\{')
COLUMNS_IN_OBJECT = re.compile(r'\{\s*"[^"\\]+"\s*:\s*[\[{]')
NOT_ASCII = re.compile(rb"[\x80-\xff]+")


def sniff(
    source: Source, encoding: str | None = None, delimiter: str | None = None, sheet: str | None = None
) -> tuple[FileFormat, list[str]]:
    """Return how the files of `source` are written, and what a person should know of it.

    Args:
        source: a file, a folder or several files, of which the first stands for all.
        encoding: where it is known.
        delimiter: where it is known.
        sheet: of an Excel file; None for the first.

    Raises:
        InputError: there is no file, it is empty or damaged, or it holds no table that can be read.
    """
    parts = parts_of(source)
    with open_content(parts[0]) as (name, content):
        start = content.read(CHUNK)
    if not start.strip():
        raise InputError(f"{name}: is empty, expected reviews")
    if start.startswith((b"PAR1", b"PK\3\4")) and (encoding or delimiter):
        raise InputError(f"{name}: is no text, and has no {'encoding' if encoding else 'delimiter'}")
    if start.startswith(b"PAR1"):
        return _named("parquet", name), []
    if start.startswith(b"PK\3\4"):
        with open_content(parts[0]) as (name, content):
            layout = _named("xlsx", name, sheet=sheet)
            skip = _rows_above(list(islice(excel_rows(name, content, layout), MAX_ABOVE + N_BELOW + 1)))
        return layout.model_copy(update={"skip": skip}), _above("rows", skip)
    if not start.startswith((b"\xff\xfe", b"\xfe\xff")) and (problem := what_it_is(start)):
        raise InputError(f"{name}: {problem}")
    if sheet:
        raise InputError(f"{name}: is no Excel file, and has no sheet '{sheet}'")
    encoding, reason = (encoding, "as you say") if encoding else detect_encoding(parts)
    notes = [f"encoding {encoding}: {reason}"]
    with open_content(parts[0]) as (name, content):
        text = _decode(name, content, encoding)
    layout = _layout_of_text(name, text, encoding, delimiter)
    return layout, [*notes, *_above("lines", layout.skip)]


def _above(what: str, skip: int) -> list[str]:
    return [f"{what} above the table that are skipped: {skip} (prepare.skip)"] if skip else []


def _named(name: FormatName, file: str, **others: object) -> FileFormat:
    """Return a layout; the format is left to the ending of the file's name where that says it."""
    return FileFormat.model_validate({"format": None if ENDINGS.get(suffix(file)) == name else name, **others})


def _layout_of_text(name: str, text: str, encoding: str, delimiter: str | None) -> FileFormat:
    begin = text.lstrip()
    if begin.startswith("[") and (suffix(name) == ".json" or starts_array(begin.partition("\n")[0])):
        return _named("json", name)
    if begin.startswith("{"):
        lines = [line for line in begin.split("\n") if line.strip()]
        if len(lines) == 1 or lines[0].rstrip().endswith(("{", "[", ",", ":")):
            raise InputError(
                f"{name}: one JSON object; expected an object per line, or an array of objects{_rows_in_object(begin)}"
            )
        return _named("jsonl", name, encoding=encoding)
    if FASTTEXT.match(begin):
        return _named("fasttext", name, encoding=encoding)
    is_table = suffix(name) in {".csv", ".tsv"}
    skip, dialect, records = _find_table(text, (delimiter,) if delimiter else DELIMITERS, is_table)
    if not records:
        raise InputError(f"{name}: no row can be read; expected reviews")
    if len(records[0]) == 1 and not is_table:
        return _named("lines", name, encoding=encoding)
    default = "\t" if suffix(name) == ".tsv" else ","
    return _named(
        "csv", name, encoding=encoding, delimiter=None if dialect.delimiter == default else dialect.delimiter,
        quote=dialect.quote, escape=dialect.escape, header=has_header(records), skip=skip,
    )  # fmt: skip


def _rows_in_object(text: str) -> str:
    """Return how to make rows of what one JSON object holds; nothing where that is not plain from its beginning."""
    if array := ARRAY_IN_OBJECT.search(text):
        return f": jq '.[\"{array[1]}\"]' FILE > reviews.json takes the array out of it"
    if COLUMNS_IN_OBJECT.match(text):
        return (
            ": pandas.read_json('FILE').to_json('reviews.jsonl', orient='records', lines=True) makes lines of columns"
        )
    return ""


def _find_table(text: str, delimiters: Sequence[str], is_table: bool) -> tuple[int, Dialect, list[list[str]]]:
    """Return how many lines stand above a table, such as a title, and what `find_dialect` finds below them."""
    without = find_dialect(text, delimiters)
    _, records = without
    is_found = bool(records) and len(records[0]) > 1 and not text.startswith("sep=")  # Excel's line
    above = _rows_above(records[: MAX_ABOVE + N_BELOW + 1]) if is_found and is_table else 0
    if above:  # a spreadsheet gives a title as many fields as the table has
        below = io.StringIO(text, newline="")
        for _ in range(above):
            below.readline()
        dialect, records = find_dialect(below.read(), delimiters)
        if has_header(records):
            return above, dialect, records
    if is_found or not is_table:
        return 0, *without
    rest = text
    for skip in range(1, MAX_ABOVE + 1):
        rest = rest[len(io.StringIO(rest, newline="").readline()) :]
        dialect, records = find_dialect(rest, delimiters)
        if len(records) > N_BELOW and len(records[0]) > 1 and has_header(records):
            return skip, dialect, records
    return 0, *without


def _rows_above(rows: Sequence[list[str]]) -> int:
    """Return how many rows stand above a table, each empty or with a title in fewer cells than the rows below have.

    >>> _rows_above([["Feedback", "May", ""], ["Text", "Stars", "Shop"], *[["Soft", "5", "Rome"]] * 4])
    1
    """
    width = median(sum(map(bool, row)) for row in rows) if rows else 0
    # the first name may be empty, above row numbers
    above = list(takewhile(lambda row: sum(map(bool, row[1:])) < width - 1 or sum(map(bool, row)) < 2, rows))
    below = rows[len(above) :]
    return len(above) if len(below) > N_BELOW and has_header(below) else 0


def _decode(name: str, content: IO[bytes], encoding: str) -> str:
    """Return the first characters of a text without a byte order mark, up to the end of a line where it is cut.

    Raises:
        InputError: it is not in this encoding.
    """
    raw = content.read(HEAD)
    try:
        text = as_text(io.BytesIO(raw), "", encoding).read()
    except UnicodeError as error:
        raise InputError(f"{name}: is not {encoding}: {error}") from None
    return text if len(raw) < HEAD else text[: text.rfind("\n") + 1] or text


def detect_encoding(parts: Sequence[Path]) -> tuple[str, str]:
    """Return the encoding of files, which are read to their end, a chunk at a time, and what it was seen from."""
    with open_content(parts[0]) as (_, content):
        start = content.read(CHUNK)
    for mark, name in MARKS.items():
        if start.startswith(mark):
            return name, "a byte order mark"
    zeros = [start[offset::2].count(0) / max(1, len(start) // 2) for offset in (0, 1)]
    if max(zeros) > 0.3:
        return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le", "each second byte is 0"
    utf8, others, samples = None, [], b""  # the name of the first part with letters in UTF-8; those that are not UTF-8
    for part in parts:
        with open_content(part) as (name, content):
            chunks = iter(partial(content.read, CHUNK), b"")
            is_utf8, lines = _read_as_utf8(chain(chunks, [b"\n"]))  # or a character may end after the file
        if not is_utf8:
            others.append(part)
            samples = (samples + lines)[:CHUNK]
        elif lines:
            utf8 = utf8 or name
    if not others:
        return UTF8, "every byte fits" if utf8 else "ASCII only"
    with open_content(others[0]) as (name, content):
        if utf8:
            raise InputError(f"{name} is not UTF-8, as {utf8} is; convert one of them, or say --encoding")
        _check_not_mixed(name, content, samples)
    return guess_encoding(samples)


def _check_not_mixed(name: str, content: Iterable[bytes], samples: bytes) -> None:
    """Raise InputError where most lines that are not ASCII are UTF-8, by which a few others would spoil them all."""
    lines = samples.split(b"\n")
    if sum(_wrong_byte(line) is None for line in lines) <= len(lines) / 2:
        return
    for number, line in enumerate(content, 1):
        if (wrong := _wrong_byte(line)) is not None:
            raise InputError(
                f"{name}: line {number} holds byte 0x{line[wrong]:02x}, which is not UTF-8, as other lines are; "
                "repair it, or say --encoding"
            )


def _wrong_byte(line: bytes) -> int | None:
    """Return where a line is not UTF-8; None where it is."""
    try:
        line.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None


def _read_as_utf8(chunks: Iterable[bytes]) -> tuple[bool, bytes]:
    """Return whether all is UTF-8, and the first lines with bytes that are not ASCII."""
    decoder = codecs.getincrementaldecoder(UTF8)()
    samples = bytearray()
    for chunk in chunks:
        if not chunk.isascii() and len(samples) < CHUNK:
            samples += b"\n".join(line for line in chunk.split(b"\n") if not line.isascii())
        try:
            decoder.decode(chunk)
        except UnicodeDecodeError:
            return False, bytes(samples)
    return True, bytes(samples)


def guess_encoding(text: bytes) -> tuple[str, str]:
    """Return the encoding of lines that are not UTF-8, and why: Windows-1252 where it makes words, else by letters."""
    n_bytes = sum(map(len, NOT_ASCII.findall(text)))
    try:
        western = text.decode(WESTERN)
    except UnicodeDecodeError:
        western = None
    if western is not None:
        others = [character for character in western if not character.isascii()]
        fitting = sum(character.isalpha() or character in TYPOGRAPHY for character in others)
        runs = len(NOT_ASCII.findall(text))
        strange = len(re.findall(r"(?<=[A-Za-z])[³¹²¿£¶¦¥±ª­º¼½¾Þ](?=[a-z])", western))
        if fitting >= 0.9 * len(others) and len(others) <= 2 * runs and strange <= 0.05 * len(others):
            reason = f"{n_bytes:,} bytes are not UTF-8; read so, they are letters and signs of Western Europe"
            return WESTERN, reason
    from charset_normalizer import from_bytes  # frequencies of letters in 40 languages

    best = from_bytes(text[:CHUNK]).best()
    if best is None or best.encoding == "utf_8":
        raise InputError("no known encoding fits all bytes; say it with --encoding, or convert the file to UTF-8")
    reason = f"{n_bytes:,} bytes are not UTF-8; by the frequency of letters, {best.language} (check the examples below)"
    return best.encoding.replace("_", "-"), reason


def find_dialect(text: str, delimiters: Sequence[str] = DELIMITERS) -> tuple[Dialect, list[list[str]]]:
    """Return how records are divided so that they have equally many fields, and the first of them.

    Where no delimiter does that there is one field, and the delimiter is one that does not occur.
    """
    best: tuple[float, int] = (MIN_CONSISTENT, 1)
    chosen: tuple[Dialect, list[list[str]]] = Dialect(), []
    for quote, escape in QUOTES:
        for delimiter in delimiters:
            dialect = Dialect(delimiter, quote, escape)
            records, n_broken = _records(text, dialect)
            widths = Counter(map(len, records))
            width, count = widths.most_common(1)[0] if widths else (0, 0)
            score = round(count / max(1, len(records) + n_broken), 3), width
            if width > 1 and score > best and len(records[0]) == width:
                best, chosen = score, (dialect, [record for record in records if len(record) == width])
        if best[0] == 1.0:
            break  # the usual quotes do
    if best[1] > 1:
        return chosen
    dialect = next((Dialect(delimiter) for delimiter in delimiters if delimiter not in text), Dialect(quote=None))
    return dialect, _records(text, dialect)[0]


def _records(text: str, dialect: Dialect) -> tuple[list[list[str]], int]:
    """Return the first records of a text, and how many are broken."""
    found = list(islice(parse_records(ReplayableLines(io.StringIO(text, newline="")), dialect), N_RECORDS))
    records = [record for record in found if not isinstance(record, RowError)]
    return records, len(found) - len(records)


def has_header(records: Sequence[Sequence[str]]) -> bool:
    """Return whether the first record names the columns: none of its fields is a value like those below it.

    Names are short, but for those above numbers, and those beside such a name: a survey has questions for names.

    >>> has_header([["text", "label"], ["Too big", "0"]]), has_header([["Too big", "0"], ["Soft", "1"]])
    (True, False)
    """
    names, rest = [name.strip() for name in records[0]], records[1:]
    columns = [(name, [record[index].strip() for record in rest]) for index, name in enumerate(names) if name]
    if not columns or any(_is_number(name) or name in values for name, values in columns):
        return False
    is_short = all(len(name) <= MAX_NAME and len(name.split()) <= MAX_NAME_WORDS for name, _ in columns)
    return is_short or any(any(values) and all(map(_is_number, filter(None, values))) for _, values in columns)


def _is_number(field: str) -> bool:
    return not math.isnan(read_rating(field))
