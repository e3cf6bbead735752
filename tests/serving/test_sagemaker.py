"""The container contract of SageMaker: /ping, /invocations, batch transform, the time after SIGTERM."""

import csv
import io
import json
import time
from collections.abc import Iterator

import httpx
import pytest

from sentiment.inference.classifier import SentimentClassifier
from tests.serving.conftest import Server

TEXTS = ["Lovely dress, fits perfectly", "Fell apart in a week", 'She said "wow",\nand so did I']


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def expected_records(sentiment: SentimentClassifier, texts: list[str]) -> list[dict[str, object]]:
    pairs = zip(sentiment.predict(texts), map(float, sentiment.predict_proba(texts)), strict=True)
    return [{"label": label, "score": p if label == "positive" else 1 - p} for label, p in pairs]


def test_ping_answers_200_well_within_its_2_seconds(http: httpx.Client) -> None:
    start = time.perf_counter()
    assert http.get("/ping").status_code == 200
    assert time.perf_counter() - start < 2


def test_json_records_get_a_label_and_a_score_each(http: httpx.Client, sentiment: SentimentClassifier) -> None:
    answer = http.post("/invocations", json={"inputs": TEXTS})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == expected_records(sentiment, TEXTS)


@pytest.mark.parametrize("kind", ["application/jsonlines", "application/x-jsonlines", "application/x-ndjson"])
def test_json_lines_get_a_line_each(http: httpx.Client, sentiment: SentimentClassifier, kind: str) -> None:
    lines = [json.dumps({"text": TEXTS[0]}), json.dumps({"inputs": TEXTS[1]}), json.dumps(TEXTS[2])]
    answer = http.post("/invocations", content="\n".join(lines) + "\n", headers={"content-type": kind})
    assert answer.headers["content-type"] == kind
    assert [json.loads(line) for line in answer.text.splitlines()] == expected_records(sentiment, TEXTS)


def test_json_lines_with_the_columns_of_training_are_title_and_body(
    http: httpx.Client, sentiment: SentimentClassifier
) -> None:
    record = json.dumps({"Title": "Returned", "Review Text": TEXTS[1], "Age": 44})
    answer = http.post("/invocations", content=record, headers={"content-type": "application/jsonlines"})
    assert [answer.json()] == expected_records(sentiment, [f"Returned. {TEXTS[1]}"])


def test_batch_transform_sends_records_in_csv_and_gets_as_many_lines_back(
    http: httpx.Client, sentiment: SentimentClassifier
) -> None:
    body = io.StringIO()
    csv.writer(body).writerows([[text] for text in [*TEXTS[:2], "", TEXTS[2]]])
    headers = {"content-type": "text/csv; charset=utf-8", "accept": "text/csv"}
    answer = http.post("/invocations", content=body.getvalue().encode(), headers=headers)
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.reader(io.StringIO(answer.text)))
    expected = [[str(one["label"]), str(one["score"])] for one in expected_records(sentiment, TEXTS)]
    assert rows == [*expected[:2], ["", ""], expected[2]]


def test_a_record_without_a_text_gets_nulls_so_that_the_lines_stay_in_step(http: httpx.Client) -> None:
    answer = http.post("/invocations", json={"inputs": ["", "fine"]}).json()
    assert answer[0] == {"label": None, "score": None}
    assert answer[1]["label"] in ("positive", "negative")


def test_accept_chooses_the_answer(http: httpx.Client) -> None:
    headers = {"accept": "application/jsonlines", "content-type": "text/csv"}
    answer = http.post("/invocations", content="one\ntwo\n", headers=headers)
    assert len([json.loads(line) for line in answer.text.splitlines()]) == 2


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"x", {"content-type": "image/png"}, 415),
        (b"\xff\xfe", {"content-type": "text/csv"}, 422),
        (b'"open', {"content-type": "text/csv"}, 422),
        (b'{"text": 1}', {"content-type": "application/jsonlines"}, 422),
        (b'"\\ud800"', {"content-type": "application/jsonlines"}, 422),
        (b"[" * 100_000, {"content-type": "application/jsonlines"}, 422),
        (b"", {"content-type": "text/csv"}, 422),
        (b"{}", {"content-type": "application/json"}, 422),
    ],
    ids=["content type", "not UTF-8", "open quote", "no text", "surrogate", "nesting", "empty", "no records"],
)
def test_what_cannot_be_read_is_refused(
    http: httpx.Client, content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = http.post("/invocations", content=content, headers=headers)
    assert (answer.status_code, answer.json()["error_type"]) == (status, "Validation")
