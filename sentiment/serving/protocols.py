"""Answer requests in three protocols: text-embeddings-inference, Hugging Face Inference and SageMaker; and explain.

    text-embeddings-inference: POST /predict, GET /health, /info, /metrics
        https://github.com/huggingface/text-embeddings-inference, docs/openapi.json
    Hugging Face Inference: POST /
    SageMaker: GET /ping, POST /invocations
        https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
    this project's own: POST /explain, which the page uses

A body goes through `read_body` (limits, content type), `parse_json` or its like (texts), and `answer` (the queue).
"""

import asyncio
import csv
import io
import json
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.requests import ClientDisconnect

from sentiment.data.text import join_text
from sentiment.inference.classifier import SentimentClassifier
from sentiment.inference.explanation import explain
from sentiment.serving.queue import TextQueue, pieces
from sentiment.serving.schemas import (
    READING_ERRORS,
    ClientDisconnectedError,
    ExplainedText,
    ExplainRequest,
    InvalidRequestError,
    InvocationInputs,
    InvocationInstances,
    OverloadedError,
    PipelineParameters,
    PipelineRequest,
    Prediction,
    PredictRequest,
    Record,
    ServingError,
    ShuttingDownError,
    TooLargeError,
    UnsupportedMediaTypeError,
    error_responses,
    json_body,
    json_schema,
    request_body,
)

STRING = {"type": "string"}
JSON, CSV = "application/json", "text/csv"
JSON_LINES = ("application/jsonlines", "application/x-jsonlines", "application/jsonl", "application/x-ndjson")
MAX_REASON = 300  # characters of a message that may quote the body
MAX_HELD_BYTES = 64 * 2**20  # of all bodies that are being read or answered
MAX_BRACKETS = 100_000  # of a body: each becomes an object, which takes 30 times the memory of its two characters
THREAD_BYTES = 64 * 1024  # of a body that is parsed in a thread, so that the event loop answers others

Model = TypeVar("Model", bound=BaseModel)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Settings:
    """How to serve; the limits are options of `sentiment serve`.

    Attributes:
        queue_texts: texts that wait or are computed; more get status 429. A request with more texts than this is
            accepted when nothing else waits.
        max_texts: of one request.
        max_chars: of one text.
        max_body_bytes: of one request.
        batch_tokens: tokens of a batch; None for what suits the device.
        api_key: that clients must send; None where none is asked for.
        about: what the classifier is, shown on the page and by /info.
    """

    queue_texts: int = 4_096
    max_texts: int = 4_096
    max_chars: int = 100_000
    max_body_bytes: int = 8 * 2**20
    batch_tokens: int | None = None
    api_key: str | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    def check_count(self, n_texts: int) -> None:
        """Raise TooLargeError for too many texts; before they are looked at one by one."""
        if n_texts > self.max_texts:
            raise TooLargeError(f"{n_texts:,} texts in one request; the limit is {self.max_texts:,}")


@dataclass
class Service:
    """The state of the application.

    Attributes:
        classifier: what answers.
        queue: of texts.
        settings: how to serve.
        metrics: what /metrics shows.
        held_bytes: of all bodies that are being read or answered.
        parsing: held while a large body is parsed: several at one time would keep the event loop from its turn.
        is_draining: whether the server is about to stop: it answers, but is not ready for more.
    """

    classifier: SentimentClassifier
    queue: TextQueue
    settings: Settings
    metrics: CollectorRegistry
    held_bytes: int = 0
    parsing: asyncio.Lock = field(default_factory=asyncio.Lock)
    is_draining: bool = False

    def check_ready(self) -> None:
        """Raise ShuttingDownError where a load balancer should send requests elsewhere."""
        if self.is_draining or not self.queue.is_alive:
            raise ShuttingDownError("the server is shutting down")


def service_of(request: Request) -> Service:
    """Return the service of a request's application."""
    service: Service = request.app.state.service
    return service


# --- bodies


def media_type(request: Request) -> str:
    """Return the content type in lower case, without its parameters; "" where the request has none."""
    return request.headers.get("content-type", "").split(";", 1)[0].strip().lower()


async def read_body(request: Request, *accepted: str) -> bytearray:
    """Return the body; its bytes count as held until the end of the request.

    Args:
        request: that has not been read.
        accepted: content types.

    Raises:
        OverloadedError, ShuttingDownError: the queue takes no text, or too many bodies are held.
        UnsupportedMediaTypeError: another content type, or a compressed body.
        TooLargeError: it is longer than the limit; nothing more of it is kept.
        ClientDisconnectedError: the client left before its end.
    """
    service = service_of(request)
    service.queue.check_capacity(1)
    if media_type(request) not in accepted:
        given = f"'{media_type(request)[:60]}'" if media_type(request) else "missing"
        raise UnsupportedMediaTypeError(f"content type is {given}; expected {' or '.join(accepted)}")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaTypeError("compressed bodies are not accepted; send it without content-encoding")
    limit = service.settings.max_body_bytes
    too_large = TooLargeError(f"the body is too large; the limit is {limit:,} bytes")
    if int(request.headers.get("content-length") or 0) > limit:
        raise too_large
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            service.held_bytes += len(chunk)
            request.scope["n_bytes"] = len(body)  # given back at the end of the request
            if len(body) > limit:
                raise too_large
            if service.held_bytes > MAX_HELD_BYTES:
                raise OverloadedError("the server holds too many large bodies; try again")
    except ClientDisconnect:
        raise ClientDisconnectedError("the client disconnected") from None
    return body


async def parse(request: Request, body: bytearray, function: Callable[[bytearray], Result]) -> Result:
    """Return what `function` makes of a body: in a thread where the body is large, one at a time."""
    if len(body) <= THREAD_BYTES:
        return function(body)
    async with service_of(request).parsing:
        return await asyncio.to_thread(function, body)


async def read_json(request: Request, model: type[Model]) -> Model:
    """Return the JSON body as `model`; errors as `read_body` and `parse_json`."""
    body = await read_body(request, JSON)
    return await parse(request, body, partial(parse_json, settings=service_of(request).settings, model=model))


def parse_json(body: bytearray, settings: Settings, model: type[Model]) -> Model:
    """Return JSON as `model`.

    Raises:
        InvalidRequestError: what is wrong first.
        TooLargeError: a list of more texts than the limit, which is not looked at further.
    """
    return as_model(load_json(body), settings, model)


def check_brackets(body: bytearray) -> None:
    """Raise TooLargeError for a body that would become too many objects."""
    if body.count(b"[") + body.count(b"{") > MAX_BRACKETS:
        raise TooLargeError(f"more than {MAX_BRACKETS:,} opening brackets in one body; send it in several requests")


def load_json(body: bytearray) -> Any:
    """Return JSON as Python objects; raises InvalidRequestError, or TooLargeError as `check_brackets`."""
    check_brackets(body)
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRequestError(f"not JSON: {error}"[:MAX_REASON]) from None


def as_model(content: Any, settings: Settings, model: type[Model]) -> Model:
    """Return Python objects as `model`; errors as `parse_json`."""
    if isinstance(content, dict):
        for value in content.values():
            settings.check_count(len(value) if isinstance(value, list) else 0)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise InvalidRequestError(first_reason(error)) from None


def first_reason(error: ValidationError) -> str:
    """Return where the first error is and what was expected, without the value."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(key) for key in first["loc"] if not str(key).startswith("function-"))
    message = f"{where}: {first['msg']}" if where else first["msg"]
    return message.replace("\n", " ")[:MAX_REASON]


# --- answers


@dataclass(frozen=True)
class Answer:
    """The answer to one text; label and probability are None for a text of white space only.

    Attributes:
        label: "positive" or "negative", by the classifier's threshold.
        probability: of "positive", the float32 that `SentimentClassifier.predict_proba` returns.
        other: the label that it is not.
    """

    label: str | None
    probability: float | None
    other: str | None
    is_positive: bool = False

    def scores(self) -> list[dict[str, Any]]:
        """Return label and score of both labels, the predicted one first."""
        assert self.probability is not None
        score = self.probability if self.is_positive else 1.0 - self.probability
        return [{"label": self.label, "score": score}, {"label": self.other, "score": 1.0 - score}]

    def log_odds(self) -> list[dict[str, Any]]:
        """Return label and log-odds of both labels, the predicted one first."""
        assert self.probability is not None
        p = min(max(self.probability, 1e-38), 1 - 2**-53)
        logit = math.log(p / (1 - p)) if self.is_positive else math.log((1 - p) / p)
        return [{"label": self.label, "score": logit}, {"label": self.other, "score": -logit}]

    def predicted(self) -> dict[str, Any]:
        """Return the predicted label and its score; both None where there is no text."""
        return {"label": None, "score": None} if self.label is None else self.scores()[0]


async def answer(request: Request, texts: Sequence[str], blank_is_error: bool = True) -> list[Answer]:
    """Return the answers to the texts of a request.

    Args:
        request: whose body has been read.
        texts: as the body gave them.
        blank_is_error: whether a text of white space only is an error, or gets an empty answer.

    Raises:
        ServingError: by its subclasses: a limit, a full queue, an unusable text, a failed batch, a client that left.
    """
    service = service_of(request)
    check_texts(request, texts, blank_is_error)
    indices = [index for index, text in enumerate(texts) if text.strip()]
    scores = await or_disconnect(request, service.queue.score([texts[index] for index in indices]))
    return _answers(service.classifier, len(texts), indices, scores)


def check_texts(request: Request, texts: Sequence[str], blank_is_error: bool = True) -> None:
    """Raise a ServingError for a text that cannot be labeled, or too many; note their number for the access log."""
    settings = service_of(request).settings
    settings.check_count(len(texts))
    request.scope["n_texts"] = len(texts)
    for index, text in enumerate(texts):
        if len(text) > settings.max_chars:
            raise TooLargeError(f"text {index} has {len(text):,} characters; the limit is {settings.max_chars:,}")
        if "\0" in text:
            raise InvalidRequestError(f"text {index} holds a NUL character")
        if blank_is_error and not text.strip():
            raise InvalidRequestError(f"text {index} is empty")


def _answers(
    classifier: SentimentClassifier, n_texts: int, indices: Sequence[int], scores: NDArray[np.float32]
) -> list[Answer]:
    negative, positive = classifier.labels
    answers = [Answer(None, None, None)] * n_texts
    is_positive = scores >= np.float32(classifier.threshold)
    for index, probability, positive_here in zip(indices, scores.tolist(), is_positive.tolist(), strict=True):
        labels = (positive, negative) if positive_here else (negative, positive)
        answers[index] = Answer(labels[0], probability, labels[1], positive_here)
    return answers


async def or_disconnect(request: Request, result: Awaitable[Result]) -> Result:
    """Return the result, or cancel it and raise ClientDisconnectedError when the client hangs up before."""
    pending = asyncio.ensure_future(result)
    # what comes after the body is the end of the connection
    hung_up = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait({pending, hung_up}, return_when=asyncio.FIRST_COMPLETED)
        if not pending.done():
            raise ClientDisconnectedError("the client disconnected")
        return pending.result()
    finally:
        pending.cancel()
        hung_up.cancel()


# --- text-embeddings-inference

router = APIRouter()
open_router = APIRouter()  # what needs no key
TEI, HUGGING_FACE, SAGEMAKER, OWN = "text-embeddings-inference", "Hugging Face Inference", "SageMaker", "Explanations"


@router.post(
    "/predict",
    tags=[TEI],
    summary="Label one text, a pair of title and body, or a batch",
    responses={200: {"model": list[Prediction] | list[list[Prediction]]}, **error_responses(*READING_ERRORS)},
    openapi_extra=json_body(PredictRequest),
)
async def predict(request: Request) -> Response:
    """Score both labels of each text, the predicted one first; a batch gets a list for each text."""
    body = await read_json(request, PredictRequest)
    is_batch = not isinstance(body.inputs, str) and not isinstance(body.inputs[0], str)
    items = body.inputs if is_batch else [body.inputs]
    columns = text_columns(service_of(request))
    if len(columns) == 1 and any(isinstance(item, list) and len(item) == 2 for item in items):
        raise InvalidRequestError(
            'inputs: ["a", "b"] is a pair of title and body, and this classifier reads one text; '
            'two texts are [["a"], ["b"]]'
        )
    texts = [item if isinstance(item, str) else join_text([str(text) for text in item]) for item in items]
    if body.truncate is False:
        await refuse_truncated(request, texts)
    answers = await answer(request, texts)
    replies = [one.log_odds() if body.raw_scores else one.scores() for one in answers]
    return JSONResponse(replies if is_batch else replies[0])


def text_columns(service: Service) -> Sequence[str]:
    """Return the columns that the classifier was trained on: the body is the last one."""
    return service.classifier.classifier.config.features.text_columns


async def refuse_truncated(request: Request, texts: Sequence[str]) -> None:
    """Raise TooLargeError for a text with more tokens than the encoder reads."""
    check_texts(request, texts)
    service = service_of(request)
    encoder = service.classifier.encoder

    def first_truncated() -> int | None:
        is_truncated = (
            one.is_truncated for piece in pieces([text.strip() for text in texts])
            for one in encoder.tokenize_with_offsets(piece)
        )  # fmt: skip
        return next((index for index, truncated in enumerate(is_truncated) if truncated), None)

    index = await or_disconnect(request, service.queue.run(first_truncated, len(texts)))
    if index is not None:
        raise TooLargeError(f"text {index} has more than {encoder.config.max_length} tokens, and truncate is false")


@open_router.get(
    "/health",
    tags=[TEI],
    summary="Tell whether the server is ready",
    response_class=Response,
    responses=error_responses(ShuttingDownError),
)
async def health(request: Request) -> Response:
    """Answer 200 until the server begins to stop; nothing is computed for it."""
    service_of(request).check_ready()
    return Response(status_code=200)


@router.get(
    "/info", tags=[TEI], summary="Describe the classifier and the limits", responses={200: {"model": dict[str, object]}}
)
async def info(request: Request) -> Response:
    """Describe the classifier, its measured accuracy where that is available, and the limits of the server."""
    service = service_of(request)
    classifier, settings = service.classifier, service.settings
    features = classifier.classifier.config.features
    return JSONResponse(
        {
            "model_id": f"frozen encoder {features.fingerprint[:12]}",
            "served_model_name": "sentiment",
            "model_sha": features.fingerprint,
            "model_dtype": getattr(classifier.encoder, "precision", features.config.precision),
            "model_type": {
                "classifier": {
                    "id2label": {str(index): label for index, label in enumerate(classifier.labels)},
                    "label2id": {label: index for index, label in enumerate(classifier.labels)},
                }
            },
            "max_concurrent_requests": settings.queue_texts,
            "max_input_length": features.config.max_length,
            "max_batch_tokens": service.queue.batch_tokens,
            "max_client_batch_size": settings.max_texts,
            "auto_truncate": True,
            "tokenization_workers": 1,
            "version": version("frozen-albert-sentiment"),
            "threshold": classifier.threshold,
            "max_chars": settings.max_chars,
            "text_columns": list(text_columns(service)),
            "about": dict(settings.about),
        }
    )


@router.get(
    "/metrics",
    tags=[TEI],
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(request: Request) -> Response:
    """Count requests, texts, batches and seconds."""
    return Response(generate_latest(service_of(request).metrics), media_type=CONTENT_TYPE_PLAIN_0_0_4)


# --- Hugging Face Inference


@router.post(
    "/",
    tags=[HUGGING_FACE],
    summary="Label one text, or a list of texts",
    responses={200: {"model": list[list[Prediction]]}, **error_responses(*READING_ERRORS)},
    openapi_extra=json_body(PipelineRequest),
)
async def classify(request: Request) -> Response:
    """Score the labels of each text, at most `top_k`, the predicted one first."""
    body = await read_json(request, PipelineRequest)
    parameters = body.parameters or PipelineParameters()
    answers = await answer(request, [body.inputs] if isinstance(body.inputs, str) else body.inputs)
    raw = parameters.function_to_apply == "none"
    scores = [one.log_odds() if raw else one.scores() for one in answers]
    return JSONResponse([one[: parameters.top_k] for one in scores])


# --- SageMaker


@open_router.get(
    "/ping", tags=[SAGEMAKER], summary="Tell whether the server is ready", responses=error_responses(ShuttingDownError)
)
async def ping(request: Request) -> Response:
    """Answer 200 until the server begins to stop."""
    service_of(request).check_ready()
    return JSONResponse({})


@router.post(
    "/invocations",
    tags=[SAGEMAKER],
    summary="Label records in JSON, JSON lines or CSV",
    responses={
        200: {
            "model": list[Record],
            "content": {kind: {"schema": {"type": "string"}} for kind in (JSON_LINES[0], CSV)},
        },
        **error_responses(*READING_ERRORS),
    },
    # OpenAPI has no words for the lines of the other two types
    openapi_extra=request_body({JSON: json_schema(InvocationInputs, InvocationInstances), JSON_LINES[0]: {}, CSV: {}}),
)
async def invocations(request: Request) -> Response:
    """Label each record; the answer has the request's content type, or that of `Accept`, a line for a line."""
    kind = media_type(request)
    body = await read_body(request, JSON, CSV, *JSON_LINES)
    accepted = accepted_type(request, kind)
    service = service_of(request)
    reader = {JSON: from_json_records, CSV: from_csv}.get(kind, from_json_lines)
    texts = await parse(request, body, partial(reader, columns=text_columns(service), settings=service.settings))
    if not texts:
        raise InvalidRequestError("the body has no records")
    return render(await answer(request, texts, blank_is_error=False), accepted)


def from_json_records(body: bytearray, columns: Sequence[str], settings: Settings) -> list[str]:
    """Return the texts of a JSON body."""
    content = load_json(body)
    if isinstance(content, dict) and "instances" in content and "inputs" not in content:
        return as_model(content, settings, InvocationInstances).instances
    records = as_model(content, settings, InvocationInputs).inputs
    return [records] if isinstance(records, str) else records


def from_csv(body: bytearray, columns: Sequence[str], settings: Settings) -> list[str]:
    """Return a text for each record of CSV without header: the text, or all columns of training.

    Raises:
        InvalidRequestError: it names the first record that is wrong.
    """
    reader = csv.reader(io.StringIO(_decoded(body), newline=""), strict=True)
    try:
        rows = list(islice(reader, settings.max_texts + 1))
    except csv.Error as error:
        raise InvalidRequestError(f"record {reader.line_num}: not CSV: {error}"[:MAX_REASON]) from None
    n_columns = next((len(row) for row in rows if row), 1)  # all records have as many as the first one
    allowed = " or ".join(str(n) for n in sorted({1, len(columns)}))
    for number, row in enumerate(rows, 1):
        if row and (len(row) != n_columns or len(row) not in (1, len(columns))):
            raise InvalidRequestError(
                f"record {number} has {len(row):,} columns; expected {allowed}, as many in each record: "
                "put a text with commas in quotes"
            )
        if any(column.strip() for column in row[:-1]) and not row[-1].strip():
            raise InvalidRequestError(
                f"record {number} has an empty last column, which is the body of the review: "
                "remove the comma at its end, or empty the whole record"
            )
    return [join_text(row) if row else "" for row in rows]


def from_json_lines(body: bytearray, columns: Sequence[str], settings: Settings) -> list[str]:
    """Return a text for each line: a JSON string, or an object with `inputs`, `text`, or the columns of training.

    Raises:
        InvalidRequestError: it names the first line that is wrong.
    """
    check_brackets(body)
    lines = _decoded(body).removesuffix("\n").split("\n")
    settings.check_count(len(lines))
    texts = []
    for number, line in enumerate(lines, 1):
        try:
            texts.append(_record_text(from_json(line, allow_inf_nan=False), columns))
        except ValueError:
            raise InvalidRequestError(
                f"line {number} is not a JSON string, nor an object with inputs, text or {columns[-1]}"[:MAX_REASON]
            ) from None
    return texts


def _decoded(body: bytearray) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"byte {error.start} is not UTF-8") from None


def _record_text(record: Any, columns: Sequence[str]) -> str:
    """Return the text of one JSON line; the title stays with the body, by whatever name the body comes."""
    if isinstance(record, dict):
        name = next((name for name in (columns[-1], "inputs", "text") if name in record), None)
        if name is None:
            raise ValueError
        values = [record.get(column) or "" for column in columns[:-1]] + [record[name] or ""]
    else:
        values = [record]
    if not all(isinstance(value, str) for value in values):
        raise ValueError
    return join_text(values)


def accepted_type(request: Request, kind: str) -> str:
    """Return the content type of the answer: the first of `Accept` that is available, else that of the request."""
    header = request.headers.get("accept", "")
    wanted = [one.split(";", 1)[0].strip().lower() for one in header.split(",")]
    available = (JSON, CSV, *JSON_LINES)
    first = next((one for one in wanted if one in available), None)
    if first is None and any(one in ("*/*", "application/*", "text/*", "") for one in wanted):
        return kind
    if first is None:
        raise UnsupportedMediaTypeError(f"Accept is '{header[:60]}'; available are {', '.join(available)}")
    return first


def render(answers: Sequence[Answer], kind: str) -> Response:
    """Return the records in a content type."""
    records = [one.predicted() for one in answers]
    if kind == JSON:
        return JSONResponse(records)
    if kind == CSV:
        rows = io.StringIO()
        csv.writer(rows, lineterminator="\n").writerows([record["label"], record["score"]] for record in records)
        return Response(rows.getvalue(), media_type=CSV)
    return Response("".join(json.dumps(record) + "\n" for record in records), media_type=kind)


# --- explanations


@router.post(
    "/explain",
    tags=[OWN],
    summary="Label texts and explain why, by words",
    responses={200: {"model": list[ExplainedText]}, **error_responses(*READING_ERRORS)},
    openapi_extra=json_body(ExplainRequest),
)
async def explain_texts(request: Request) -> Response:
    """Return bias and words with contributions that add up to the logit, for each of at most 64 texts.

    Offsets count Unicode code points.
    """
    body = await read_json(request, ExplainRequest)
    texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
    check_texts(request, texts)
    service = service_of(request)
    n_chars = sum(map(len, texts))
    if n_chars > service.settings.max_chars:  # each word becomes an object: the answer is larger than the texts
        raise TooLargeError(f"{n_chars:,} characters to explain; the limit is {service.settings.max_chars:,}")
    explained = service.queue.run(lambda: explain(service.classifier, texts), len(texts))
    explanations = await or_disconnect(request, explained)
    return JSONResponse([asdict(one) for one in explanations if one is not None])


def error_response(error: ServingError) -> Response:
    """Return the response for an error that has a status of its own."""
    return JSONResponse({"error": str(error), "error_type": error.error_type}, error.status, dict(error.headers))
