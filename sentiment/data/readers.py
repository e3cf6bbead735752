"""Read the rows of a file of reviews, thousands at a time: for `prepare` and for labeling, so that both read alike.

    for part, batch in read_source(Path("reviews.csv"), InputColumns(("Review Text",), ("Rating",)), FileFormat()):
        batch.texts, batch.passthrough["Rating"]

A broken row is an error of the row, with its reason: `prepare` stops at the first, labeling goes on.
"""

import codecs
import gzip
import io
import json
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal, Protocol, cast, get_args

from pydantic import Field, field_validator, model_validator

from sentiment.common.errors import InputError, one_line
from sentiment.common.params import StageParams
from sentiment.data.csv_reader import UTF8, Dialect, RowError, as_text, column_indices, find_invalid_text, read_records
from sentiment.data.text import join_text

MAX_ROWS = 8_192  # of a batch: enough to sort by length, few enough for memory
FIRST_ROWS = 64  # of the first batch, so that the first labels come soon
GROWTH = 4  # how much larger than the one before a batch may be
MAX_HEAD = 1_000  # lines in which the first one with content tells JSON lines from texts
ID = "id"
JSON_LINES = "expected a JSON object per line; jq -c '.[]' makes them of an array"

GZIP = ".gz"
FILE = "file"  # a column that the parts in a folder have besides: the name of the part without its ending
FASTTEXT = re.compile(r"__label__(\S+)\s+(.*)", re.DOTALL)

Source = Path | Sequence[Path]  # a file, a folder, or several of them
Record = Mapping[str, Any] | RowError
FormatName = Literal["csv", "jsonl", "json", "parquet", "xlsx", "lines", "fasttext"]


class FileFormat(StageParams):
    """How the bytes of a file become rows; the defaults are those of a file that needs no explanation.

    Attributes:
        format: None goes by the ending of the name.
        delimiter: between the fields of CSV; None is a comma, and in .tsv a tab.
        quote: around the fields of CSV that hold a delimiter or a line end; None where quotes mean themselves.
        escape: before a character of CSV that means itself, such as a backslash; None for no such character.
        encoding: of text, by a name that Python knows, such as utf-16 or windows-1252.
        header: whether the first row of CSV names the columns; else their names are their numbers, "1", "2", ...
        skip: lines of CSV, or rows of a sheet, above the table, such as a title.
        sheet: of an Excel file; None is the first.
    """

    format: FormatName | None = None
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    quote: str | None = Field(default='"', min_length=1, max_length=1)
    escape: str | None = Field(default=None, min_length=1, max_length=1)
    encoding: str = UTF8
    header: bool = True
    skip: int = Field(default=0, ge=0)
    sheet: str | None = None

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, encoding: str) -> str:
        try:
            as_text(io.BytesIO("a".encode(encoding)), "", encoding).read()
        except (LookupError, ValueError):  # a UnicodeError is one: idna cannot be read as a stream
            raise ValueError("the name of an encoding, such as utf-8, utf-16 or windows-1252") from None
        return encoding

    @model_validator(mode="after")
    def _are_different(self) -> "FileFormat":
        marks = [mark for mark in (self.delimiter, self.quote, self.escape) if mark is not None]
        if len({*marks, "\r", "\n", "\0"}) < len(marks) + 3:
            raise ValueError("delimiter, quote and escape that are different, and no line end")
        return self


@dataclass(frozen=True)
class InputBatch:
    """Some rows of the input, in its order.

    Attributes:
        first: number of the first row; the input's first row is 1.
        ids: one per row.
        texts: one per row; "" where a row has none.
        errors: what is wrong with a row, by its index in `texts`; the text of a wrong row is "".
        passthrough: the input's columns to write to the output, by name.
    """

    first: int
    ids: Sequence[Any]
    texts: Sequence[str]
    errors: Mapping[int, str] = field(default_factory=dict)
    passthrough: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def problems(self, name: str) -> list[str]:
        """Return what is wrong with rows of the file `name`, as "reviews.csv: row 3 has 3 fields, expected 4"."""
        return [f"{name}: row {self.first + index} {reason}" for index, reason in self.errors.items()]

    def rows(self, start: int, stop: int) -> "InputBatch":
        """Return the rows from index `start` up to `stop`."""
        return InputBatch(
            self.first + start,
            self.ids[start:stop],
            self.texts[start:stop],
            {index - start: error for index, error in self.errors.items() if start <= index < stop},
            {name: values[start:stop] for name, values in self.passthrough.items()},
        )


@dataclass(frozen=True)
class InputTable:
    """An input that is read batch by batch.

    Attributes:
        types: Arrow types of the id and of the passthrough columns, by name.
        batches: the rows, in order.
    """

    types: dict[str, Any]
    batches: Iterator[InputBatch]


@dataclass(frozen=True)
class InputColumns:
    """Which columns of the input are used.

    Attributes:
        text_columns: joined into a text, in this order; without any, each text is "".
        kept: columns to pass through beside the text; None for all, without ids only those whose name occurs once.
        reserved: names that a column to pass through may not have, where all are.
        with_ids: whether a column `id` gives the rows their ids; else, and without one, they are numbered.
    """

    text_columns: tuple[str, ...]
    kept: tuple[str, ...] | None = ()
    reserved: tuple[str, ...] = ()
    with_ids: bool = True

    def select(self, name: str, header: Sequence[str]) -> tuple[list[str], list[str]]:
        """Return the columns of file `name` to read, and those of them to pass through.

        Raises:
            InputError: a column is missing or occurs twice, or has a reserved name.
        """
        if self.kept is None and (clash := set(header) & set(self.reserved)):
            raise InputError(f"{name}: has a column '{min(clash)}' already; rename it, or omit --keep-columns")
        if self.kept is not None:
            passthrough = list(self.kept)
        elif self.with_ids:
            passthrough = [column for column in header if column != ID]
        else:  # those with a name of their own
            passthrough = [column for column, count in Counter(header).items() if count == 1]
        ids = [ID] if self.with_ids and ID in header else []
        needed = list(dict.fromkeys([*ids, *self.text_columns, *passthrough]))
        column_indices(name, list(header), needed)
        return needed, passthrough

    def may_not_come_late(self, column: str) -> bool:
        """Return whether a column that only later rows have would be missing in the output of the first ones."""
        return self.with_ids and (self.kept is None or column == ID)


DEFAULT = FileFormat()


def suffix(name: str) -> str:
    """Return the ending of a name in lower case, without `.gz`."""
    return PurePosixPath(without_gzip(name)).suffix.lower()


def without_gzip(name: str) -> str:
    """Return a name without `.gz`, in any case, at its end."""
    return name[: -len(GZIP)] if name.lower().endswith(GZIP) else name


def from_texts(lines: Iterable[str], encoding: str = UTF8) -> InputTable:
    """Read one text per line, or per argument of a command."""
    records = (find_invalid_text(line, encoding) or {"text": line} for line in lines)
    return InputTable({ID: "int64"}, _record_batches(records, ["text"], ("text",), []))


def from_csv(name: str, file: IO[bytes], columns: InputColumns, layout: FileFormat = DEFAULT) -> InputTable:
    """Read CSV, or TSV: with any delimiter."""
    dialect = Dialect(layout.delimiter or ("\t" if suffix(name) == ".tsv" else ","), layout.quote, layout.escape)
    header, rows = read_records(name, file, dialect, layout.encoding, layout.header, layout.skip)
    needed, passthrough = columns.select(name, header)
    indices = dict(zip(needed, column_indices(name, header, needed), strict=True))
    records = (
        row if isinstance(row, RowError) else {column: row[index] for column, index in indices.items()} for row in rows
    )
    types = {ID: "string" if ID in needed else "int64", **dict.fromkeys(passthrough, "string")}
    return InputTable(types, _record_batches(records, needed, columns.text_columns, passthrough))


def from_fasttext(name: str, file: IO[bytes], columns: InputColumns, layout: FileFormat = DEFAULT) -> InputTable:
    """Read lines of `__label__LABEL text`, as columns "label" and "text"."""
    needed, passthrough = columns.select(name, ["label", "text"])

    def parse(line: str) -> Record:
        if invalid := find_invalid_text(line, layout.encoding):
            return invalid
        match = FASTTEXT.match(line.strip())
        return {"label": match[1], "text": match[2]} if match else RowError("does not start with __label__")

    records = (parse(line) for line in as_text(file, "\n", layout.encoding, name) if line.strip())
    types = {ID: "int64", **dict.fromkeys(passthrough, "string")}
    return InputTable(types, _record_batches(records, needed, columns.text_columns, passthrough))


def from_lines(name: str, file: IO[bytes], columns: InputColumns, layout: FileFormat = DEFAULT) -> InputTable:
    """Read one text per line, as the column "text"."""
    needed, passthrough = columns.select(name, ["text"])
    lines = (line for line in as_text(file, "\n", layout.encoding, name) if line.strip())
    records = (find_invalid_text(line, layout.encoding) or {"text": line.strip()} for line in lines)
    types = {ID: "int64", **dict.fromkeys(passthrough, "string")}
    return InputTable(types, _record_batches(records, needed, columns.text_columns, passthrough))


def from_lines_or_json(name: str, file: IO[bytes], columns: InputColumns, layout: FileFormat = DEFAULT) -> InputTable:
    """Read one text per line, or JSON lines where the first line with content starts like an object.

    Raises:
        InputError: the input starts like an array of objects.
    """
    lines = iter(as_text(file, "\n", source=name))
    head: list[str] = []
    for line in islice(lines, MAX_HEAD):
        head.append(line)
        if line.strip():
            break
    start = head[-1].strip() if head else ""
    if starts_array(start):
        raise InputError(f"{name}: is a JSON array, {JSON_LINES}")
    if start.startswith("{"):
        return _from_json_lines(name, chain(head, lines), columns)
    return from_texts(chain(head, lines))


def starts_array(line: str) -> bool:
    """Return whether a line can be the first one of an array of JSON objects, and no text in brackets."""
    begin = line.replace(" ", "").strip()
    return begin == "[" or begin.startswith(("[{", "[]"))


def from_json(name: str, file: IO[bytes], columns: InputColumns, layout: FileFormat = DEFAULT) -> InputTable:
    """Read JSON lines; errors as `_from_objects`."""
    return _from_json_lines(name, as_text(file, "\n", layout.encoding, name), columns, layout.encoding)


def _from_json_lines(name: str, lines: Iterable[str], columns: InputColumns, encoding: str = UTF8) -> InputTable:
    return _from_objects(name, (_parse(line, encoding) for line in lines if line.strip()), columns)


def from_array_or_lines(name: str, file: IO[bytes], columns: InputColumns, layout: FileFormat = DEFAULT) -> InputTable:
    """Read JSON lines, or one array of JSON objects, in UTF-8, as a stream; errors as `_from_objects`."""
    import ijson  # the standard library would hold the whole array

    content = io.BufferedReader(cast(io.RawIOBase, file))
    if content.peek().startswith(codecs.BOM_UTF8):
        content.read(len(codecs.BOM_UTF8))
    start = content.peek().lstrip()[:1]
    if start == b"{":
        return from_json(name, content, columns, layout)
    if start not in {b"[", b""}:  # of which ijson would find no item
        raise InputError(f"{name}: is neither a JSON array nor JSON lines")

    def records() -> Iterator[Record]:
        n_rows = 0
        try:
            for value in ijson.items(content, "item", use_float=True):
                n_rows += 1
                yield _checked(value)
        except (ijson.JSONError, UnicodeDecodeError, RecursionError) as error:
            raise InputError(f"{name}: is not a JSON array after {n_rows} rows ({one_line(error)[:200]})") from None

    return _from_objects(name, records(), columns)


def _from_objects(name: str, records: Iterator[Record], columns: InputColumns) -> InputTable:
    """Read objects; the keys of the first rows are the columns.

    Raises:
        InputError: the first rows are no objects, or have not the text columns.
    """
    first_records = list(islice(records, FIRST_ROWS))
    if not first_records:
        return InputTable({ID: "int64"}, iter(()))
    header = list(dict.fromkeys(key for record in first_records if not isinstance(record, RowError) for key in record))
    if not header and isinstance(first_records[0], RowError):
        raise InputError(f"{name}: row 1 {first_records[0].reason}, {JSON_LINES}")
    needed, passthrough = columns.select(name, header)
    known = {*header, *columns.text_columns, *passthrough}

    def check(record: Record) -> Record:
        """Return what is wrong with a text that is none, or with a column to write that none of the first rows has."""
        if isinstance(record, RowError):
            return record
        for column in columns.text_columns:
            if not isinstance(record.get(column), str | None):
                return RowError(f"has '{column}' that is not a string")
        late = [key for key in record if key not in known and columns.may_not_come_late(key)]
        return RowError(f"has '{late[0]}', which none of the first {FIRST_ROWS} rows has") if late else record

    types = {ID: "string" if ID in needed else "int64", **dict.fromkeys(passthrough, "string")}
    checked = map(check, chain(first_records, records))
    return InputTable(types, _record_batches(checked, needed, columns.text_columns, passthrough))


def _parse(line: str, encoding: str) -> Record:
    """Return the object of a line, else what is wrong with it."""
    if invalid := find_invalid_text(line, encoding):
        return invalid
    try:
        return _checked(json.loads(line))
    except (ValueError, RecursionError):  # ValueError also for a number of more than 4,300 digits
        return RowError("is not JSON")


def _checked(value: Any) -> Record:
    """Return a JSON value that is an object and can be written again, else what is wrong with it."""
    if not isinstance(value, dict):
        return RowError("is not a JSON object")
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return RowError("contains a lone surrogate, or bytes that are not UTF-8")
    return value


def from_excel(name: str, file: IO[bytes], columns: InputColumns, layout: FileFormat = DEFAULT) -> InputTable:
    """Read a sheet of an Excel file (.xlsx), whose first row names the columns.

    Raises:
        InputError: as `excel_rows`, or the sheet is empty or lacks a column.
    """
    rows = islice(excel_rows(name, file, layout), layout.skip, None)
    header = next(rows, None)
    if header is None:
        raise InputError(f"{name}: is empty, expected a header row and reviews")
    needed, passthrough = columns.select(name, header)
    indices = dict(zip(needed, column_indices(name, header, needed), strict=True))
    n = len(header)  # cells at the end of a row that are empty may be missing
    filled = (row + [""] * (n - len(row)) for row in rows if any(row))
    records = ({column: row[index] for column, index in indices.items()} for row in filled)
    types = {ID: "string" if ID in needed else "int64", **dict.fromkeys(passthrough, "string")}
    return InputTable(types, _record_batches(records, needed, columns.text_columns, passthrough))


def excel_rows(name: str, file: IO[bytes], layout: FileFormat) -> Iterator[list[str]]:
    """Yield the rows of a sheet as text, each to its last cell.

    Raises:
        InputError: the file is no Excel file, is damaged, or has no such sheet; openpyxl is not installed.
    """
    try:
        import openpyxl
    except ImportError:
        raise InputError(f"{name}: needs openpyxl; pip install 'frozen-albert-sentiment[excel]'") from None
    advice = "; rename a zip file to end in .zip"  # where it lacks the parts of a workbook
    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        advice = ""
        if layout.sheet is not None and layout.sheet not in book.sheetnames:
            raise InputError(f"{name}: no sheet '{layout.sheet}'; found {', '.join(book.sheetnames)}")
        sheet = book[layout.sheet] if layout.sheet else book.worksheets[0]
        sheet.reset_dimensions()  # which the file may state wrongly: cells beyond them would be left out
        for row in sheet.iter_rows(values_only=True):
            yield list(map(as_string, row))
    except EXCEL_ERRORS as error:
        advice = advice if isinstance(error, KeyError) else ""
        raise InputError(f"{name}: not an Excel file ({one_line(error)[:200]}){advice}") from None


def as_string(value: Any) -> str:
    """Return a value of JSON, Parquet or Excel as a CSV file has it: nothing as "", 5.0 as "5", bytes as UTF-8."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _record_batches(
    records: Iterable[Record], needed: Sequence[str], text_columns: Sequence[str], passthrough: Sequence[str]
) -> Iterator[InputBatch]:
    """Yield rows that are read one by one, as mappings of column to value."""
    iterator, first, size = iter(records), 1, FIRST_ROWS
    while batch := list(islice(iterator, size)):
        errors = {index: record.reason for index, record in enumerate(batch) if isinstance(record, RowError)}
        rows = [{} if isinstance(record, RowError) else record for record in batch]
        values = {column: [row.get(column) for row in rows] for column in needed}
        yield _input_batch(first, values, text_columns, passthrough, errors)
        first, size = first + len(batch), min(MAX_ROWS, size * GROWTH)


def _input_batch(
    first: int,
    values: Mapping[str, Sequence[Any]],
    text_columns: Sequence[str],
    passthrough: Sequence[str],
    errors: Mapping[int, str],
) -> InputBatch:
    rows = zip(*(values[column] for column in text_columns), strict=True)
    texts = [join_text([value or "" for value in row]) for row in rows]
    if not text_columns:
        texts = [""] * max(map(len, values.values()), default=0)
    ids = values.get(ID, range(first, first + len(texts)))
    return InputBatch(first, ids, texts, errors, {column: values[column] for column in passthrough})


def from_parquet(
    name: str,
    file: IO[bytes],
    columns: InputColumns,
    layout: FileFormat = DEFAULT,
    rows: tuple[int, int] | None = None,
) -> InputTable:
    """Read a Parquet file.

    Args:
        name: of the file, for messages.
        file: opened for reading and seeking.
        columns: which to read.
        layout: which has nothing to say of Parquet.
        rows: the first row to read, from 0, and the one after the last; None for all.

    Raises:
        InputError: it is not Parquet or damaged, or a text column is missing or does not contain text.
    """
    import pyarrow as pa  # 0.5 s that texts and lines do not need
    import pyarrow.parquet as pq

    damage = (pa.ArrowException, OSError, EOFError)  # Arrow reports a damaged page as OSError, without the file's name
    try:
        parquet = pq.ParquetFile(file, pre_buffer=False)  # pre_buffer keeps all that was read in memory
    except damage as error:
        raise InputError(f"{name}: not a Parquet file ({one_line(error)[:200]})") from None
    schema = parquet.schema_arrow
    needed, passthrough = columns.select(name, schema.names)
    for column in columns.text_columns:
        if not _is_text(kind := schema.field(column).type):
            raise InputError(f"{name}: column '{column}' has type {kind}, expected text")
    start, stop = rows or (0, parquet.metadata.num_rows)

    def batches() -> Iterator[InputBatch]:
        first = start + 1
        try:
            for batch in _rows_of(parquet, needed, start, stop):
                values = {column: batch[column].to_pylist() for column in needed}
                yield _input_batch(first, values, columns.text_columns, passthrough, {})
                first += len(batch)
        except UnicodeDecodeError as error:
            raise InputError(f"{name}: a text from row {first} on is not UTF-8 ({error})") from None
        except damage as error:
            raise InputError(f"{name}: damaged Parquet file ({one_line(error)[:200]})") from None

    types = {
        ID: schema.field(ID).type if ID in needed else "int64",
        **{column: schema.field(column).type for column in passthrough},
    }
    return InputTable(types, batches())


def _is_text(kind: Any) -> bool:
    """Return whether an Arrow type holds text; a column that is empty throughout has the type null."""
    values = kind.value_type if str(kind).startswith("dictionary") else kind
    return str(values) in {"string", "large_string", "string_view", "null"}


def _rows_of(parquet: Any, columns: list[str], start: int, stop: int) -> Iterator[Any]:
    """Yield the rows from `start` up to `stop`; only row groups with such rows are read."""
    groups: list[int] = []
    position = first = 0
    for index in range(parquet.metadata.num_row_groups):
        end = position + parquet.metadata.row_group(index).num_rows
        if position < stop and end > start:
            first = first if groups else position
            groups.append(index)
        position = end
    position = first
    # a thread of Arrow's that still holds what it read from a file of Python's can abort the process at its end
    for batch in parquet.iter_batches(MAX_ROWS, row_groups=groups, columns=columns, use_threads=False):
        end = position + batch.num_rows
        if position < stop and end > start:
            yield batch.slice(max(0, start - position), min(stop, end) - max(start, position))
        position = end


class Reader(Protocol):
    """Reads the rows of a file that is named for messages and opened for reading bytes."""

    def __call__(  # noqa: D102
        self, name: str, file: IO[bytes], columns: InputColumns, layout: FileFormat = DEFAULT, /
    ) -> InputTable: ...


READERS_BY_FORMAT: dict[FormatName, Reader] = {
    "csv": from_csv,
    "jsonl": from_json,
    "json": from_array_or_lines,
    "parquet": from_parquet,
    "xlsx": from_excel,
    "lines": from_lines,
    "fasttext": from_fasttext,
}
ENDINGS: dict[str, FormatName] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".xlsx": "xlsx",
    ".txt": "lines",
}
ZIP = ".zip"
# of openpyxl at a damaged file: ParseError of XML is a SyntaxError, a reference to a missing part a KeyError
EXCEL_ERRORS = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, SyntaxError, ValueError, LookupError,
    TypeError, AttributeError, OverflowError,
)  # fmt: skip
HIDDEN = re.compile(r"/[._]")  # in the path of a file below its folder
BINARY: tuple[FormatName, ...] = ("parquet", "xlsx")  # which are compressed already


@contextmanager
def decompressed(name: str, raw: IO[bytes]) -> Iterator[IO[bytes]]:
    """Yield the decompressed content of a file whose name ends in .gz, the content of any other.

    Raises:
        InputError: it is no gzip file, or a damaged one.
    """
    if not name.lower().endswith(GZIP):
        yield raw
        return
    try:
        with gzip.open(raw) as content:
            yield content  # type: ignore[misc]  # GzipFile is no IO[bytes] to mypy
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InputError(f"{name}: damaged gzip file ({one_line(error)})") from None


def parts_of(source: Source) -> list[Path]:
    """Return a file; or the files in a folder by their paths, but for names that begin with a dot or an underscore.

    Several sources are one folder with the files of each: they are in the order of their names.

    Raises:
        InputError: there is no such file, or none in the folder.
    """
    if not isinstance(source, Path):
        return sorted((part for one in source for part in parts_of(one)), key=lambda part: part.name)
    if not source.exists():
        raise InputError(f"{source}: no such file; expected reviews (see prepare.source)")
    if source.is_file():
        return [source]
    files = (path for path in source.rglob("*") if path.is_file())
    parts = sorted(path for path in files if not HIDDEN.search(f"/{path.relative_to(source).as_posix()}"))
    if not parts:
        raise InputError(f"{source}: is a folder without files, expected reviews")
    return parts


def read_source(source: Source, columns: InputColumns, layout: FileFormat) -> Iterator[tuple[str, InputBatch]]:
    """Yield the rows of a file, or of all files in a folder by their names, each with the name of its file.

    The files in a folder have the column `file` besides. A zip file stands for the one table in it.

    Raises:
        InputError: as `parts_of` and the readers.
    """
    parts = parts_of(source)
    in_folder = parts != [source]
    if in_folder and columns.kept is not None:
        columns = replace(columns, kept=tuple(column for column in columns.kept if column != FILE))
    for part in parts:
        with open_content(part) as (name, content):
            for batch in reader_of(name, layout)(name, content, columns, layout).batches:
                if in_folder:
                    names = [PurePosixPath(without_gzip(part.name)).stem] * len(batch.texts)
                    batch = replace(batch, passthrough={**batch.passthrough, FILE: names})
                yield name, batch


def read_texts(source: Path, text_columns: Sequence[str], layout: FileFormat = DEFAULT) -> Iterator[str]:
    """Yield the texts of a file or folder; rows without text are left out.

    Raises:
        InputError: a row is broken; or as `read_source`.
    """
    for name, batch in read_source(source, InputColumns(tuple(text_columns), with_ids=False), layout):
        if problems := batch.problems(name):
            raise InputError(problems[0])
        yield from filter(None, batch.texts)


@contextmanager
def open_content(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Open a file, or the one table in a zip file; yield its name for messages and its decompressed content.

    Raises:
        InputError: it is damaged, or a zip file with no table or with several.
    """
    with path.open("rb") as raw:
        if path.suffix.lower() != ZIP:
            with decompressed(path.name, raw) as content:
                yield str(path), content
            return
        try:
            archive = zipfile.ZipFile(raw)
            tables = [one for one in archive.namelist() if suffix(one) in ENDINGS and not one.startswith("__MACOSX/")]
            tables = [one for one in tables if suffix(one) != ".txt"] or tables  # beside a table, a text explains it
            if len(tables) != 1:
                found = ", ".join(tables[:5]) or "none"
                raise InputError(f"{path}: expected one table in the archive, found {found}")
            with archive.open(tables[0]) as member, decompressed(tables[0], member) as content:
                yield f"{path}/{tables[0]}", content
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise InputError(f"{path}: not a zip file that can be read ({one_line(error)})") from None


def reader_of(name: str, layout: FileFormat) -> Reader:
    """Return the reader of a file; raises InputError where neither `layout` nor the ending of its name tells it."""
    chosen = layout.format or ENDINGS.get(suffix(name))
    if chosen is None:
        known = ", ".join(get_args(FormatName))
        raise InputError(f"{name}: format is not known by the ending; set prepare.format to one of {known}")
    return READERS_BY_FORMAT[chosen]
