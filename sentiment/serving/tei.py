"""The API of text-embeddings-inference for classifiers: POST /predict, GET /health, /info and /metrics.

https://github.com/huggingface/text-embeddings-inference, docs/openapi.json
"""

from importlib.metadata import version

from fastapi import APIRouter, Request, Response

from sentiment.data.text import join_text
from sentiment.serving.body import read_json
from sentiment.serving.errors import ShuttingDownError
from sentiment.serving.metrics import CONTENT_TYPE, Metrics
from sentiment.serving.openapi import READING_ERRORS, error_responses, json_body
from sentiment.serving.replies import json_reply
from sentiment.serving.schemas import Prediction, PredictRequest
from sentiment.serving.service import answer, service_of

router = APIRouter(tags=["text-embeddings-inference"])


@router.post(
    "/predict",
    summary="Label one text, a pair of title and body, or a batch",
    responses={200: {"model": list[Prediction] | list[list[Prediction]]}, **error_responses(*READING_ERRORS)},
    openapi_extra=json_body(PredictRequest),
)
async def predict(request: Request) -> Response:
    """Score both labels of each text, the predicted one first; a batch gets a list for each text."""
    body = await read_json(request, PredictRequest)
    is_batch = not isinstance(body.inputs, str) and not isinstance(body.inputs[0], str)
    items = body.inputs if is_batch else [body.inputs]
    texts = [item if isinstance(item, str) else join_text([str(text) for text in item]) for item in items]
    answers = await answer(request, texts)
    replies = [one.log_odds() if body.raw_scores else one.scores() for one in answers]
    return json_reply(replies if is_batch else replies[0])


@router.get(
    "/health",
    summary="Tell whether texts are accepted",
    response_class=Response,
    responses=error_responses(ShuttingDownError),
)
async def health(request: Request) -> Response:
    """Answer 200 while the workers run; nothing is computed for it."""
    if not service_of(request).batcher.is_alive:
        raise ShuttingDownError("the server is shutting down")
    return Response(status_code=200)


@router.get("/info", summary="Describe the classifier and the limits", responses={200: {"model": dict[str, object]}})
async def info(request: Request) -> Response:
    """Describe the classifier, its measured accuracy where that is available, and the limits of the server."""
    service = service_of(request)
    classifier = service.classifier
    features = classifier.classifier.config.features
    labels = dict(enumerate(classifier.labels))
    return json_reply(
        {
            "model_id": f"frozen encoder {features.fingerprint[:12]}",
            "served_model_name": "sentiment",
            "model_sha": features.fingerprint,
            "model_dtype": getattr(classifier.encoder, "precision", features.config.precision),
            "model_type": {
                "classifier": {
                    "id2label": {str(index): label for index, label in labels.items()},
                    "label2id": {label: index for index, label in labels.items()},
                }
            },
            "max_concurrent_requests": service.limits.queue_texts,
            "max_input_length": features.config.max_length,
            "max_batch_tokens": service.batcher.batch_tokens,
            "max_client_batch_size": service.limits.max_texts,
            "auto_truncate": True,
            "tokenization_workers": 1,
            "version": version("frozen-albert-sentiment"),
            "threshold": classifier.threshold,
            "max_chars": service.limits.max_chars,
            "text_columns": list(features.text_columns),
            "about": dict(service.about),
        }
    )


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(request: Request) -> Response:
    """Count requests, texts, batches and seconds."""
    collected: Metrics = request.app.state.metrics
    return Response(collected.render(service_of(request).batcher), media_type=CONTENT_TYPE)
