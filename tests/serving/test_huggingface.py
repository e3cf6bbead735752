"""POST / with the client of Hugging Face."""

import pytest
from huggingface_hub import InferenceClient, constants
from huggingface_hub.errors import HfHubHTTPError

from sentiment.inference.classifier import SentimentClassifier
from tests.serving.conftest import Server

TEXT = "Lovely dress, fits perfectly"


@pytest.fixture(autouse=True)
def _online(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other tests forbid this library every request, also those to this machine."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


def test_the_client_gets_both_labels_the_predicted_one_first(server: Server, sentiment: SentimentClassifier) -> None:
    answer = InferenceClient(server.url).text_classification(TEXT)
    assert answer[0].label == sentiment.predict([TEXT])[0]
    score = next(item.score for item in answer if item.label == "positive")
    assert score == float(sentiment.predict_proba([TEXT])[0])


def test_top_k_limits_the_labels(server: Server) -> None:
    assert len(InferenceClient(server.url).text_classification(TEXT, top_k=1)) == 1


def test_several_texts_get_a_list_each(server: Server) -> None:
    with server.client() as client:
        answer = client.post("/", json={"inputs": [TEXT, "Fell apart"], "options": {"wait_for_model": True}}).json()
    assert [len(scores) for scores in answer] == [2, 2]


def test_the_client_raises_the_reason_of_an_error(server: Server) -> None:
    with pytest.raises(HfHubHTTPError) as raised:
        InferenceClient(server.url).text_classification("   ")
    assert raised.value.response.status_code == 422


@pytest.mark.parametrize(("top_k", "status"), [(1, 200), (1.0, 200), (True, 422), (1.5, 422), (0, 422), ("1", 422)])
def test_top_k_is_a_whole_number_and_no_boolean(server: Server, top_k: object, status: int) -> None:
    with server.client() as client:
        assert client.post("/", json={"inputs": TEXT, "parameters": {"top_k": top_k}}).status_code == status
