"""What texts a body holds: pairs, columns and records, for classifiers of one column and of title and body."""

import json

import httpx
import pytest
from fastapi.testclient import TestClient

from sentiment.inference.classifier import SentimentClassifier
from sentiment.serving import protocols
from sentiment.serving.app import create_app
from sentiment.serving.protocols import Settings, from_csv, from_json_lines, from_json_records
from sentiment.serving.schemas import ServingError
from tests.serving.conftest import Server

ONE, TWO = ["text"], ["Title", "Review Text"]
LIMITS = Settings(max_texts=4)


def post(server: Server, path: str, body: object) -> httpx.Response:
    with server.client() as client:
        return client.post(path, json=body)


@pytest.mark.parametrize(
    ("columns", "body", "texts"),
    [
        (ONE, b"good\nbad\n", ["good", "bad"]),
        (ONE, b'"good, very"\r\n"two ""lines"",\nindeed"\r\n', ["good, very", 'two "lines",\nindeed']),
        (ONE, b"good\n\nbad", ["good", "", "bad"]),
        (TWO, b"Nice,Soft\n,Soft", ["Nice. Soft", "Soft"]),
        (TWO, b"Soft\nWarm\n", ["Soft", "Warm"]),
        (TWO, b",\nNice,Soft\n", ["", "Nice. Soft"]),
    ],
)
def test_csv_has_a_text_or_all_columns_in_each_record(columns: list[str], body: bytes, texts: list[str]) -> None:
    assert from_csv(bytearray(body), columns, LIMITS) == texts


@pytest.mark.parametrize(
    ("columns", "body", "reason"),
    [
        (ONE, b"good\nI like it, really\n", "record 2 has 2 columns; expected 1"),
        (TWO, b"Soft\nI like it, really\n", "record 2 has 2 columns; expected 1 or 2"),
        (TWO, b"Nice,Soft\nNice,Soft,5\n", "record 2 has 3 columns"),
        (TWO, b"Nice,Soft\nI love this dress,\n", "record 2 has an empty last column"),
        (ONE, b"good,\n", "record 1 has 2 columns"),
        (ONE, b'good\n"open', "record 2: not CSV"),
    ],
)
def test_a_wrong_record_of_csv_is_named(columns: list[str], body: bytes, reason: str) -> None:
    with pytest.raises(ServingError, match=reason):
        from_csv(bytearray(body), columns, LIMITS)


@pytest.mark.parametrize("name", ["Review Text", "text", "inputs"])
def test_json_lines_keep_the_title_by_whatever_name_the_body_comes(name: str) -> None:
    line = json.dumps({"Title": "Returned", name: "Too big", "Age": 44}).encode()
    assert from_json_lines(bytearray(line), TWO, LIMITS) == ["Returned. Too big"]


WRONG_LINES = [
    b'{"Title": "Nice"}', b'{"Title": 0, "text": "Soft"}', b'{"text": 1}', b'{"text": 0}', b'{"text": false}',
    b'{"text": []}', b'{"text": {}}', b'"\\ud800"', b"[" * 90_000, b"", b"NaN",
]  # fmt: skip


@pytest.mark.parametrize("line", WRONG_LINES)
def test_a_wrong_json_line_is_named(line: bytes) -> None:
    with pytest.raises(ServingError, match="422: line 2: expected a JSON string"):
        from_json_lines(bytearray(b'"fine"\n' + line + b"\n\n"), TWO, LIMITS)


def test_what_would_become_too_many_objects_is_refused_before_it_is_parsed() -> None:
    for reader in (from_json_records, from_json_lines):
        with pytest.raises(ServingError, match="brackets"):
            reader(bytearray(b"[[]]" * 60_000), TWO, LIMITS)
    with pytest.raises(ServingError, match="5 texts"):
        from_json_lines(bytearray(b'"a"\n' * 5), TWO, LIMITS)


def test_null_in_a_json_line_is_no_text() -> None:
    lines = b'{"text": null}\n{"Title": null, "text": "Soft"}'
    assert from_json_lines(bytearray(lines), TWO, LIMITS) == ["", "Soft"]


def test_a_record_of_csv_is_counted_as_such_and_may_be_as_long_as_a_text() -> None:
    with pytest.raises(ServingError, match="record 2 has 3 columns"):
        from_csv(bytearray(b'"three\nlines\nlong"\na,b,c\n'), ONE, LIMITS)
    with pytest.raises(ServingError, match="record 2: not CSV"):
        from_csv(bytearray(b'"three\nlines\nlong"\n"a"b\n'), ONE, LIMITS)
    long = "x" * 200_000
    assert from_csv(bytearray(long.encode()), ONE, Settings(max_chars=300_000)) == [long]


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/", {"inputs": 5}, "inputs: expected a text that is not blank, or a list of texts"),
        ("/", {"inputs": ["a", 5]}, "inputs: expected a text that is not blank, or a list of texts"),
        ("/", {"inputs": " "}, "inputs: expected a text that is not blank, or a list of texts"),
        ("/predict", {"inputs": [[""]]}, "inputs: expected a text that is not blank"),
        ("/predict", {"inputs": [["a", " "]]}, "inputs: expected a text that is not blank"),
        ("/explain", {"inputs": "\x12"}, "inputs: expected a text that is not blank"),
        ("/", {}, "inputs: is missing; expected a text that is not blank, or a list of texts"),
        ("/", [], "expected a JSON object with inputs"),
        ("/", {"inputs": "a", "parameters": {"top_k": 0}}, "parameters: expected {"),
        ("/invocations", {"inputs": 5}, "inputs: expected a text, or a list of texts"),
        ("/invocations", {"inputs": []}, "inputs: expected a text, or a list of texts"),
        ("/invocations", ["a", "b", "c"], "expected a JSON object with inputs"),
        ("/explain", {"inputs": None}, "inputs: expected a text that is not blank, or a list of at most 64"),
        (
            "/predict",
            {"inputs": ["a", "b", "c"]},
            "inputs: expected a text that is not blank, a pair of title and body, or a list",
        ),
        ("/predict", {"inputs": "a", "raw_scores": 1}, "raw_scores: expected true or false"),
        ("/predict", {"inputs": "a", "truncate": 0}, "truncate: expected true, false or null"),
        ("/predict", {"inputs": "a", "truncation_direction": "Left"}, 'truncation_direction: expected "Right"'),
    ],
)
def test_what_is_wrong_with_json_is_said_in_plain_words(server: Server, path: str, body: object, message: str) -> None:
    refused = post(server, path, body)
    assert refused.status_code == 422
    assert refused.json()["error"].startswith(message)


def test_json_lines_never_hold_nan(sentiment: SentimentClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocols, "both_labels", lambda *arguments: [{"label": "positive", "score": float("nan")}])
    with TestClient(create_app(sentiment, Settings())) as client:
        for kind in ("application/jsonlines", "application/json"):
            answer = client.post("/invocations", content=b'{"inputs": "a"}', headers={"content-type": kind})
            assert answer.status_code == 500
            assert "NaN" not in answer.text


def test_a_classifier_of_one_column_refuses_a_pair_and_says_how_two_texts_are_sent(
    sentiment: SentimentClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocols.Service, "text_columns", ONE)
    with TestClient(create_app(sentiment, Settings())) as client:
        for inputs in (["a", "b"], [["a", "b"]]):
            refused = client.post("/predict", json={"inputs": inputs})
            assert refused.status_code == 422
            assert '[["a"], ["b"]]' in refused.json()["error"]
        assert len(client.post("/predict", json={"inputs": [["a"], ["b"]]}).json()) == 2


def test_an_explanation_is_not_much_larger_than_what_was_sent(server: Server) -> None:
    refused = post(server, "/explain", {"inputs": ["a " * 49_000] * 2})
    assert refused.status_code == 413
    assert "196,000 characters to explain; the limit is 100,000" in refused.json()["error"]


JSON_TYPE, LINES_TYPE, CSV_TYPE, FILE_TYPE = (
    "application/json", "application/jsonlines", "text/csv", "application/octet-stream"
)  # fmt: skip
N_TEXTS = 256
LONG = b"x" * 100_000


@pytest.mark.parametrize(
    ("path", "kind", "body", "n_objects"),
    [
        ("/predict", JSON_TYPE, b'{"inputs":[' + b'["a"],' * (N_TEXTS - 1) + b'["a"]]}', N_TEXTS),
        ("/", JSON_TYPE, b'{"inputs":[' + b'"a",' * (N_TEXTS - 1) + b'"a"]}', N_TEXTS),
        ("/invocations", JSON_TYPE, b'{"inputs":[' + b'"a",' * (N_TEXTS - 1) + b'"a"]}', N_TEXTS),
        ("/invocations", LINES_TYPE, b'"a"\n' * N_TEXTS, N_TEXTS),
        ("/invocations", CSV_TYPE, b"a\n" * N_TEXTS, N_TEXTS),
        ("/explain", JSON_TYPE, b'{"inputs":["' + b'","'.join([b"a " * 780] * 64) + b'"]}', 64 * 128),
        ("/explain", JSON_TYPE, b'{"inputs":"' + b"a\x7f" * 49_000 + b'"}', 128),
        ("/rows?name=a.txt", FILE_TYPE, b"\n" * 90_000, 0),
        ("/rows?name=a.txt", FILE_TYPE, b"\1" * 90_000, 0),
        ("/rows?name=a.csv", FILE_TYPE, b"Title,Review Text\n" + b"a\n" * 40_000, 0),
        ("/rows?name=a.csv", FILE_TYPE, LONG + b"\n", 0),
        ("/rows?name=" + "a" * 5_000 + ".csv", FILE_TYPE, b"a", 0),
        ("/rows?other=" + "a" * 5_000, FILE_TYPE, b"a", 0),
        ("/predict", JSON_TYPE, b'{"inputs": ' + LONG, 0),
        ("/predict", JSON_TYPE, b'{"inputs": {"' + LONG + b'": 1}}', 0),
        ("/invocations", LINES_TYPE, LONG, 0),
        ("/invocations", CSV_TYPE, b'"' + LONG, 0),
        ("/predict", "x" * 5_000, b"", 0),
        ("/" + "a" * 5_000, JSON_TYPE, b"{}", 0),
    ],
)
def test_no_answer_is_much_larger_than_its_request(
    sentiment: SentimentClassifier, path: str, kind: str, body: bytes, n_objects: int
) -> None:
    """At most 6 bytes for each byte of the body, as in \\u0001, and 100 for each text, or word that is explained."""
    with TestClient(create_app(sentiment, Settings())) as client:
        answer = client.post(path, content=body, headers={"content-type": kind})
    n_bytes = len(answer.content)
    if answer.status_code == 200:
        assert n_bytes <= 6 * len(body) + 100 * n_objects + 2_000  # names of keys, reasons of 20 rows
        assert n_objects == 0 or path == "/explain" or n_bytes > 10 * n_objects
    else:
        assert n_bytes <= 600
