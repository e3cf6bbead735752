"""The stage `prepare` reads a table in any format, and labels as people have them."""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sentiment.common.errors import InputError
from sentiment.data.readers import InputColumns, from_excel
from sentiment.data.sniffing import sniff
from tests.stages.conftest import RunPrepare

N_ROWS = 40
TEXTS = {
    "Title": ["Nice" if number % 3 else "" for number in range(N_ROWS)],
    "Review Text": [f'Größe "{number}", stimmt; gut\tund\nwarm | {number % 7}' for number in range(N_ROWS)],
}
TABLE = pd.DataFrame({**TEXTS, "Rating": [str(1 + number % 5) for number in range(N_ROWS)], "Department Name": "Tops"})
NUMBERS = TABLE.astype({"Rating": float})


def csv_bytes(encoding: str = "utf-8", **options: Any) -> bytes:
    content: str = TABLE.to_csv(index=False, **options)
    return content.encode(encoding)


def frame_bytes(write: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def zipped(name: str, content: bytes, *others: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for other in ("__MACOSX/._" + name, *others):
            archive.writestr(other, b"")
        archive.writestr(name, content)
    return buffer.getvalue()


def excel_bytes(change: tuple[str, str]) -> bytes:
    """An Excel file with a change of its sheet's XML."""
    buffer, plain = io.BytesIO(), io.BytesIO(frame_bytes(lambda file: NUMBERS.to_excel(file, index=False)))
    with zipfile.ZipFile(plain) as archive, zipfile.ZipFile(buffer, "w") as changed:
        for name in archive.namelist():
            content = archive.read(name).decode()
            if name.endswith("sheet1.xml"):
                assert change[0] in content
                content = content.replace(*change)
            changed.writestr(name, content)
    return buffer.getvalue()


RECORDS = NUMBERS.to_dict("records")
FILES: dict[str, tuple[bytes, dict[str, object]]] = {
    "reviews.csv": (csv_bytes(), {}),
    "reviews.tsv": (csv_bytes(sep="\t"), {}),
    "semicolons.csv": (csv_bytes("windows-1252", sep=";", lineterminator="\r\n"),
                       {"delimiter": ";", "encoding": "windows-1252"}),
    "utf16.txt": (csv_bytes("utf-16", sep="|"), {"format": "csv", "delimiter": "|", "encoding": "utf-16"}),
    "mark.csv": (csv_bytes("utf-8-sig"), {}),
    "apostrophes.csv": (csv_bytes(quotechar="'"), {"quote": "'"}),
    "backslashes.csv": (csv_bytes(doublequote=False, escapechar="\\"), {"escape": "\\"}),
    "no_header.csv": (csv_bytes(header=False),
                      {"header": False, "text_columns": ["1", "2"], "rating_column": "3", "slice_columns": ["4"]}),
    "title.csv": (b"Our reviews\n\n" + csv_bytes(), {"skip": 2}),
    "title.xlsx": (frame_bytes(lambda file: NUMBERS.to_excel(file, index=False, startrow=2)), {"skip": 2}),
    "explained.zip": (zipped("reviews.csv", csv_bytes(), "README.txt"), {}),
    "reviews.csv.gz": (gzip.compress(csv_bytes()), {}),
    "reviews.zip": (zipped("reviews.csv", csv_bytes()), {}),
    "twice.zip": (zipped("reviews.csv.gz", gzip.compress(csv_bytes())), {}),
    "dimension.xlsx": (excel_bytes(("<dimension ref=", '<dimension ref="A1"/><old ref=')), {}),
    "no_dimension.xlsx": (excel_bytes(("<dimension ref=", "<old ref=")), {}),
    "reviews.jsonl": ("\n".join(json.dumps(record) for record in RECORDS).encode(), {}),
    "lines.json": ("\n".join(json.dumps(record, ensure_ascii=False) for record in RECORDS).encode("windows-1252"),
                   {"encoding": "windows-1252"}),
    "reviews.json": (json.dumps(RECORDS, indent=2).encode(), {}),
    "reviews.parquet": (frame_bytes(NUMBERS.to_parquet), {}),
    "reviews.xlsx": (frame_bytes(lambda file: NUMBERS.to_excel(file, index=False)), {}),
}  # fmt: skip


def sha256() -> str:
    return hashlib.sha256(Path("out/reviews.parquet").read_bytes()).hexdigest()


@pytest.fixture
def prepared(run_prepare: RunPrepare) -> Callable[..., tuple[str, list[dict[str, Any]]]]:
    """Prepare a file; return the SHA-256 of the table, and its rows."""

    def call(name: str, content: bytes, **params: object) -> tuple[str, list[dict[str, Any]]]:
        if content:
            Path(name).write_bytes(content)
        outcome, rows, _ = run_prepare(None, source=name, **params)
        assert not outcome.status, outcome.stderr
        return sha256(), rows

    return call


@pytest.mark.parametrize("name", FILES)
def test_an_equal_table_in_another_format_gives_equal_rows(
    prepared: Callable[..., tuple[str, list[dict[str, Any]]]], name: str
) -> None:
    expected = prepared("expected.csv", FILES["reviews.csv"][0])
    content, params = FILES[name]
    found = prepared(name, content, **params)
    assert len(expected[1]) == N_ROWS
    if "text_columns" in params:  # other names of columns
        assert [list(row.values()) for row in found[1]] == [list(row.values()) for row in expected[1]]
    else:
        assert found == expected


def test_cells_that_are_missing_at_the_end_of_a_row_are_empty() -> None:
    book = openpyxl.Workbook()
    for row in (["text", "part"], ["Soft", "Tops"], ["Warm"]):
        book.worksheets[0].append(row)
    table = from_excel("a.xlsx", io.BytesIO(frame_bytes(book.save)), InputColumns(("text",), ("part",)))
    [batch] = table.batches
    assert (batch.texts, batch.passthrough) == (["Soft", "Warm"], {"part": ["Tops", ""]})


NO_TEXT = {
    "gzip": (gzip.compress(csv_bytes()), "is compressed by gzip; rename it to end in .gz"),
    "bzip2": (bz2.compress(csv_bytes()), "is compressed by bzip2"),
    "xz": (lzma.compress(csv_bytes()), "is compressed by xz"),
    "zstd": (pa.compress(csv_bytes(), codec="zstd", asbytes=True), "is compressed by zstd"),
    "zip": (zipped("reviews.csv", csv_bytes()), "rename it to end in .zip"),
    "Excel": (FILES["reviews.xlsx"][0], "rename it to end in .zip or .xlsx"),
    "Parquet": (FILES["reviews.parquet"][0], "is a Parquet file; rename it to end in .parquet"),
    "UTF-16": (csv_bytes("utf-16"), "is UTF-16; set prepare.encoding to utf-16"),
}


@pytest.mark.parametrize("kind", NO_TEXT)
@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl"])
def test_a_file_that_is_no_text_is_named_for_what_it_is(run_prepare: RunPrepare, kind: str, ending: str) -> None:
    """It was said to hold a NUL byte, or byte 0x8b."""
    content, message = NO_TEXT[kind]
    Path(f"reviews{ending}").write_bytes(content)
    outcome, _, _ = run_prepare(None, source=f"reviews{ending}")
    assert (outcome.status, outcome.stderr.count("\n")) == (1, 0)
    assert message in outcome.stderr
    if kind not in ("Excel", "Parquet", "UTF-16"):  # which `sentiment init` reads
        with pytest.raises(InputError, match="zip file" if kind == "zip" else re.escape(message)):
            sniff(Path(f"reviews{ending}"))


def test_labels_that_are_bytes_in_parquet_are_text(run_prepare: RunPrepare) -> None:
    table = pa.table({"text": ["Soft", "Torn"], "label": [b"good", b"bad"]})
    pq.write_table(table, "bytes.parquet")
    outcome, rows, _ = run_prepare(None, source="bytes.parquet", **LABELS)
    assert not outcome.status, outcome.stderr
    assert [row["label"] for row in rows] == [1, 0]


def test_a_folder_of_parts_is_read_by_their_names(prepared: Callable[..., tuple[str, list[dict[str, Any]]]]) -> None:
    expected = prepared("expected.csv", FILES["reviews.csv"][0])
    Path("parts").mkdir()
    for number, name in ((0, "day-1.csv"), (20, "day-2.csv")):
        TABLE.iloc[number : number + 20].to_csv(Path("parts", name), index=False)
    Path("parts", "_SUCCESS").touch()
    Path("parts", ".hidden").touch()
    Path("parts/.ipynb_checkpoints").mkdir()
    TABLE.iloc[:5].assign(Title="Before").to_csv("parts/.ipynb_checkpoints/day-1-checkpoint.csv", index=False)
    assert prepared("parts", b"") == expected


def test_html_is_decoded_on_request_and_said_in_the_table(run_prepare: RunPrepare) -> None:
    Path("html.csv").write_text(
        "Title,Review Text,Rating,Department Name\nA &amp; B,Soft<br/>&nbsp;,5,Tops\n,<br />,4,Tops\n,Torn,1,Tops\n"
    )
    outcome, rows, counts = run_prepare(None, source="html.csv", decode_html=True)
    assert not outcome.status, outcome.stderr
    assert [row["text"] for row in rows] == ["A & B. Soft", "Torn"]
    assert counts["empty_text"] == 1
    assert b"decode_html" in pq.read_schema("out/reviews.parquet").metadata
    _, rows, counts = run_prepare(None, source="html.csv")
    assert [row["text"] for row in rows] == ["A &amp; B. Soft<br/>&nbsp;", "<br />", "Torn"]
    assert b"decode_html" not in pq.read_schema("out/reviews.parquet").metadata


LABELS: dict[str, object] = {
    "rating_column": None, "label_column": "label", "text_columns": ["text"], "slice_columns": [],
    "positive": ["good", True, 1], "negative": ["bad", False, 0],
}  # fmt: skip


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("text,label\nSoft,Good\nWarm, GOOD \nTorn,bad\n", "a.csv"),
        ("text,label\nSoft,1\nWarm,1.0\nTorn,0\n", "a.csv"),
        ("text,label\nSoft,True\nWarm,TRUE\nTorn,false\n", "a.csv"),
        (
            '{"text": "Soft", "label": true}\n{"text": "Warm", "label": 1.0}\n{"text": "Torn", "label": false}\n',
            "a.jsonl",
        ),
        ('[{"text": "Soft", "label": "good"}, {"text": "Warm", "label": 1}, {"text": "Torn", "label": 0}]', "a.json"),
        ("__label__good Soft\n__label__1 Warm\n\n__label__bad Torn\n", "a.txt"),
    ],
)
def test_labels_are_compared_without_case_and_decimals(run_prepare: RunPrepare, content: str, name: str) -> None:
    Path(name).write_text(content, encoding="utf-8")
    layout = {"format": "fasttext"} if name == "a.txt" else {}
    outcome, rows, _ = run_prepare(None, source=name, **LABELS, **layout)
    assert not outcome.status, outcome.stderr
    assert [(row["text"], row["label"]) for row in rows] == [("Soft", 1), ("Warm", 1), ("Torn", 0)]


def test_one_file_per_class(run_prepare: RunPrepare) -> None:
    for label, texts in (("bad", "Torn\nThin\n"), ("good", "Soft\n\nWarm\n")):
        Path("texts").mkdir(exist_ok=True)
        Path("texts", f"{label}.txt.GZ").write_bytes(gzip.compress(texts.encode()))
    _, rows, counts = run_prepare(None, source="texts", **{**LABELS, "label_column": "file"})
    assert [(row["text"], row["label"]) for row in rows] == [("Torn", 0), ("Thin", 0), ("Soft", 1), ("Warm", 1)]
    assert counts["rows"] == 4


def test_labels_that_no_list_names_stop_the_stage_with_their_counts(run_prepare: RunPrepare) -> None:
    content = "text,label\nSoft,good\nTorn,bad\n" + "So so,neutral\n" * 3 + "What,unclear\n"
    outcome, _, _ = run_prepare(content, **LABELS)
    assert outcome.status == 1
    assert (
        "column 'label' has 'neutral' (3 rows), 'unclear' (1 rows), expected one of 'good', True, 1" in outcome.stderr
    )
    assert "prepare.ignore" in outcome.stderr
    outcome, rows, counts = run_prepare(content, **LABELS, ignore=["Neutral", "unclear"])
    assert not outcome.status, outcome.stderr
    assert (len(rows), counts["ignored"]) == (2, 4)


def test_a_column_that_holds_no_labels_is_refused_before_all_is_read(run_prepare: RunPrepare) -> None:
    content = "text,label\n" + "".join(f"a,value {number}\n" for number in range(20_000))
    outcome, _, _ = run_prepare(content, **LABELS)
    assert outcome.status == 1
    assert "others, expected one of" in outcome.stderr
    assert len(outcome.stderr) < 1_000


@pytest.mark.parametrize(
    "params",
    [{}, {**LABELS, "label_column": "Rating", "text_columns": ["Review Text"], "positive": [5], "negative": [2]}],
)
def test_a_row_without_label_is_an_error_or_dropped_and_counted(
    run_prepare: RunPrepare, params: dict[str, object]
) -> None:
    content = "Title,Review Text,Rating,Department Name\n,Soft,5,Tops\n,Torn,2,Tops\n,Warm,  ,Tops\n,,,Tops\n"
    outcome, _, _ = run_prepare(content, **params)
    assert outcome.status == 1
    assert "row 3, column 'Rating': found '" in outcome.stderr
    assert "prepare.on_missing_label=drop leaves such rows out" in outcome.stderr
    outcome, rows, counts = run_prepare(content, **params, on_missing_label="drop")
    assert not outcome.status, outcome.stderr
    assert [row["text"] for row in rows] == ["Soft", "Torn"]
    assert (counts["no_label"], counts["empty_text"]) == (1, 1)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"label_column": "label"}, "expected either rating_column or label_column"),
        ({"rating_column": None}, "expected either rating_column or label_column"),
        ({**LABELS, "negative": []}, "expected positive and negative with the values of label_column"),
        ({**LABELS, "ignore": ["Good"]}, "found 'good' again"),
        ({"delimiter": '"'}, "expected delimiter, quote and escape that are different"),
        ({"encoding": "utf-5"}, "the name of an encoding"),
        ({"format": "xls"}, "prepare.format is 'xls'"),
    ],
)
def test_params_that_contradict_each_other_are_refused_by_name(
    run_prepare: RunPrepare, params: dict[str, object], message: str
) -> None:
    outcome, _, _ = run_prepare("text,label\nSoft,good\n", **params)
    assert outcome.status == 1
    assert message in outcome.stderr
    assert "\n" not in outcome.stderr


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.zip", b"PK\3\4 cut", "not a zip file that can be read"),
        ("a.zip", zipped("notes.md", b"x"), "expected one table in the archive, found none"),
        ("a.csv.gz", gzip.compress(csv_bytes())[:-20], "damaged gzip file"),
        ("a.xlsx", b"no", "not an Excel file"),
        ("a.xlsx", excel_bytes(("</row>", "<<row>")), "not an Excel file"),
        ("a.json", b'[{"Title": "a"', "is not a JSON array after"),
        ("a.json", b'"Soft"', "is neither a JSON array nor JSON lines"),
        ("a.jsonl", b"[]", "is not a JSON object"),
        ("a.dat", b"x", "format is not known by the ending"),
        ("a.parquet", b"PAR1", "not a Parquet file"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_one_line(
    run_prepare: RunPrepare, name: str, content: bytes, message: str
) -> None:
    Path(name).write_bytes(content)
    outcome, _, _ = run_prepare(None, source=name)
    assert outcome.status == 1
    assert message in outcome.stderr
    assert "\n" not in outcome.stderr
