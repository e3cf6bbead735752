"""The Open Inference Protocol with Triton's HTTP client, as JSON and as binary tensors."""

from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from sentiment.inference.classifier import SentimentClassifier
from tests.serving.conftest import Server

TEXTS = ["Lovely dress, fits perfectly", "Fell apart in a week", "Größe paßt, très jolie"]


@pytest.fixture
def triton(server: Server) -> Iterator[InferenceServerClient]:
    client = InferenceServerClient(server.url.removeprefix("http://"))
    yield client
    client.close()


def tensor(texts: list[str], binary: bool, shape: list[int] | None = None) -> InferInput:
    array = np.array([text.encode() for text in texts], dtype=object).reshape(shape or [-1])
    made = InferInput("text", list(array.shape), "BYTES")
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def test_the_server_and_the_model_are_live_and_ready(triton: InferenceServerClient) -> None:
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("sentiment")
    assert triton.is_model_ready("sentiment", "1")


def test_metadata_names_the_tensors(triton: InferenceServerClient) -> None:
    assert triton.get_server_metadata()["name"] == "sentiment"
    metadata = triton.get_model_metadata("sentiment")
    assert [one["name"] for one in metadata["inputs"]] == ["text"]
    assert [one["name"] for one in metadata["outputs"]] == ["label", "probability"]


@pytest.mark.parametrize("binary_input", [False, True], ids=["JSON in", "binary in"])
@pytest.mark.parametrize("binary_output", [False, True], ids=["JSON out", "binary out"])
def test_texts_get_labels_and_probabilities(
    triton: InferenceServerClient, sentiment: SentimentClassifier, binary_input: bool, binary_output: bool
) -> None:
    outputs = [InferRequestedOutput(name, binary_data=binary_output) for name in ("probability", "label")]
    result = triton.infer("sentiment", [tensor(TEXTS, binary_input)], outputs=outputs, request_id="42")
    assert result.get_response()["id"] == "42"
    assert result.as_numpy("probability").tobytes() == sentiment.predict_proba(TEXTS).tobytes()
    labels = [label.decode() if isinstance(label, bytes) else label for label in result.as_numpy("label")]
    assert labels == sentiment.predict(TEXTS)


def test_the_settings_of_the_client_work_without_any_options(triton: InferenceServerClient) -> None:
    result = triton.infer("sentiment", [tensor(TEXTS, True, [3, 1])])
    assert result.as_numpy("probability").shape == (3,)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"datatype": "FP32"}, "inputs.0.datatype"),
        ({"shape": [2]}, "1 texts, expected shape"),
        ({"name": "image"}, "inputs.0.name"),
        ({"data": [1]}, "inputs.0.data"),
        ({"data": []}, "n of at least 1"),
        ({"parameters": {"binary_data_size": 3}}, "binary_data_size"),
    ],
    ids=["datatype", "shape", "name", "numbers", "empty", "binary size"],
)
def test_a_wrong_tensor_is_refused_with_its_reason(server: Server, change: dict[str, object], expected: str) -> None:
    body = {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["fine"], **change}]}
    with server.client() as client:
        answer = client.post("/v2/models/sentiment/infer", json=body)
    assert answer.status_code == 422
    assert expected in answer.json()["error"]


def test_unknown_models_versions_and_outputs_are_refused(server: Server, triton: InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match=r"outputs\.0\.name"):
        triton.infer("sentiment", [tensor(TEXTS, True)], outputs=[InferRequestedOutput("logits")])
    assert httpx.get(f"{server.url}/v2/models/other", timeout=10).status_code == 404
    assert httpx.get(f"{server.url}/v2/models/sentiment/versions/2", timeout=10).status_code == 404
