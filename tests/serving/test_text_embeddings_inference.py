"""POST /predict, GET /health, /info and /metrics, by the document of text-embeddings-inference."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tokenizers import Tokenizer

from sentiment.inference.classifier import SentimentClassifier
from tests.serving.conftest import Server, running

GOOD, BAD = "Lovely dress, fits perfectly", "Fell apart in a week, very disappointed"


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def as_float32(score: float) -> bytes:
    return np.float32(score).tobytes()


def test_one_text_gets_label_and_score_of_both_labels_the_predicted_one_first(
    http: httpx.Client, sentiment: SentimentClassifier
) -> None:
    answer = http.post("/predict", json={"inputs": GOOD})
    assert answer.status_code == 200
    first, second = answer.json()
    probability = sentiment.predict_proba([GOOD])[0]
    assert {first["label"], second["label"]} == {"positive", "negative"}
    assert first["label"] == sentiment.predict([GOOD])[0]
    assert first["score"] + second["score"] == 1.0
    score = {item["label"]: item["score"] for item in answer.json()}["positive"]
    assert as_float32(score) == probability.tobytes()


def test_a_batch_gets_a_list_for_each_text_in_their_order(http: httpx.Client) -> None:
    single = [http.post("/predict", json={"inputs": text}).json() for text in (GOOD, BAD)]
    assert http.post("/predict", json={"inputs": [[GOOD], [BAD]]}).json() == single


def test_a_pair_is_title_and_body_as_in_training(http: httpx.Client) -> None:
    joined = http.post("/predict", json={"inputs": f"Returned it. {BAD}"}).json()
    assert http.post("/predict", json={"inputs": ["Returned it", BAD]}).json() == joined
    body = http.post("/predict", json={"inputs": BAD}).json()
    assert http.post("/predict", json={"inputs": [["Returned it", BAD], ["", BAD]]}).json() == [joined, body]


def test_raw_scores_are_log_odds(http: httpx.Client) -> None:
    plain = http.post("/predict", json={"inputs": GOOD}).json()
    raw = http.post("/predict", json={"inputs": GOOD, "raw_scores": True}).json()
    assert [item["label"] for item in raw] == [item["label"] for item in plain]
    assert 1 / (1 + np.exp(-raw[0]["score"])) == pytest.approx(plain[0]["score"], abs=1e-12)


def test_truncate_false_refuses_the_first_text_that_the_classifier_would_read_in_part(
    http: httpx.Client, sentiment: SentimentClassifier
) -> None:
    max_length = http.get("/info").json()["max_input_length"]
    tokenizer = Tokenizer.from_file(str(sentiment.encoder.folder / "tokenizer.json"))
    tokenizer.no_truncation()
    longest, too_long = ("soft " * n for n in (max_length - 2, max_length + 40))
    assert [len(tokenizer.encode(text.strip()).ids) for text in (longest, too_long)] == [max_length, max_length + 42]

    short = http.post("/predict", json={"inputs": [[GOOD], [longest]], "truncate": False})
    assert short.json() == http.post("/predict", json={"inputs": [[GOOD], [longest]]}).json()
    refused = http.post("/predict", json={"inputs": [[GOOD], [longest], [too_long], [too_long]], "truncate": False})
    assert (refused.status_code, refused.json()["error_type"]) == (413, "Validation")
    assert refused.json()["error"].startswith(f"text 2 has {max_length + 42} tokens; the classifier reads {max_length}")
    for truncate in (True, None):
        assert http.post("/predict", json={"inputs": too_long, "truncate": truncate}).status_code == 200


def test_health_is_an_empty_200(http: httpx.Client) -> None:
    answer = http.get("/health")
    assert (answer.status_code, answer.content) == (200, b"")


def test_info_has_the_required_fields_and_what_the_classifier_is(
    http: httpx.Client, sentiment: SentimentClassifier
) -> None:
    info = http.get("/info").json()
    assert info["model_type"]["classifier"]["id2label"] == {"0": "negative", "1": "positive"}
    assert info["model_sha"] == sentiment.classifier.config.features.fingerprint
    required = {
        "model_id", "served_model_name", "model_dtype", "max_concurrent_requests", "max_input_length",
        "max_batch_tokens", "max_client_batch_size", "auto_truncate", "tokenization_workers", "version",
    }  # fmt: skip
    assert required <= set(info)
    assert info["about"]["source"] == "data/raw/sample.csv"


def test_metrics_are_read_by_the_parser_of_prometheus_and_count_requests(http: httpx.Client) -> None:
    def count() -> float:
        families = text_string_to_metric_families(http.get("/metrics").text)
        samples = [sample for family in families for sample in family.samples]
        wanted = {"path": "/predict", "status": "200"}
        return sum(s.value for s in samples if s.name == "te_request_count_total" and s.labels == wanted)

    before = count()
    http.post("/predict", json={"inputs": GOOD})
    assert count() == before + 1


@pytest.fixture(scope="module")
def narrow_server(classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("narrow"), classifier, "--max-texts", "4", "--max-chars", "100") as started:
        yield started


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        ({"inputs": [["x"]] * 5}, 413, "5 texts in one request; the limit is 4"),
        ({"inputs": "x" * 101}, 413, "text 0 has 101 characters; the limit is 100"),
        ({"inputs": ["one", "two", "three"]}, 422, "inputs"),
        ({"inputs": "x", "raw_scores": "yes"}, 422, "raw_scores"),
    ],
    ids=["too many texts", "too long a text", "three texts without a list each", "wrong type of an option"],
)
def test_errors_have_a_status_a_type_and_a_reason(
    narrow_server: Server, body: dict[str, object], status: int, expected: str
) -> None:
    with narrow_server.client() as client:
        answer = client.post("/predict", json=body)
    assert answer.status_code == status
    assert answer.json()["error_type"] == "Validation"
    assert expected in answer.json()["error"]
