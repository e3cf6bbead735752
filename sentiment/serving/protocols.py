"""Answer requests in three protocols: text-embeddings-inference, Hugging Face Inference and SageMaker.

    text-embeddings-inference: POST /predict, GET /health, /info, /metrics
        https://github.com/huggingface/text-embeddings-inference, docs/openapi.json
    Hugging Face Inference: POST /
    SageMaker: GET /ping, POST /invocations
        https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
    this project's own, for the page: POST /explain, POST /rows

A body goes through `read_body` (limits, content type), `parse` (texts), and `score` (the queue).
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
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.requests import ClientDisconnect

from sentiment.common.errors import ParamsError, PipelineError, one_line
from sentiment.common.tables import UNSURE
from sentiment.data.readers import InputColumns
from sentiment.data.text import join_text
from sentiment.head.classifier import is_unsure
from sentiment.inference.classifier import SentimentClassifier
from sentiment.inference.explanation import Explanation, explain
from sentiment.inference.formats import READERS
from sentiment.serving.queue import TextQueue, find_too_long
from sentiment.serving.schemas import (
    CLIENT_LEFT,
    ENV_KEY,
    READING_ERRORS,
    ExplainRequest,
    FileRows,
    InvocationRequest,
    Labeled,
    PipelineParameters,
    PipelineRequest,
    Prediction,
    PredictRequest,
    ServingError,
    error_responses,
    request_body,
)

JSON, CSV, BYTES = "application/json", "text/csv", "application/octet-stream"
JSON_LINES = ("application/jsonlines", "application/x-jsonlines", "application/jsonl", "application/x-ndjson")
FILES = (".csv", ".tsv", ".jsonl", ".txt")  # that the page may send: none that may be larger than what was sent
MAX_REASON = 300  # characters of a message that may quote the body
MAX_PROBLEMS = 20  # broken rows of a file that are named
MAX_ROWS = 100_000  # of a file: an empty line takes one byte there, and fifty times that here
MAX_HELD_BYTES = 64 * 2**20  # of all bodies that are being read or answered
MAX_BRACKETS = 100_000  # of a body: each becomes an object, which takes 30 times the memory of its two characters
THREAD_BYTES = 64 * 1024  # of a body that is parsed in a thread, so that the event loop answers others

Model = TypeVar("Model", bound=BaseModel)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Settings:
    """How to serve; the limits are options of `sentiment serve`."""

    queue_texts: int = 4_096  # that wait or are computed; more get 429, but an empty queue takes a request of any size
    max_texts: int = 4_096  # of one request
    max_chars: int = 100_000  # of one text
    max_body_bytes: int = 8 * 2**20  # of one request
    api_key: str | None = None  # that clients must send, of `ENV_KEY`
    about: Mapping[str, Any] = field(default_factory=dict)  # the classifier, for the page and /info
    prediction_log: Path | None = None  # to which each prediction is appended, without its text

    def __post_init__(self) -> None:
        """Raise ParamsError where no client could send the key."""
        key = self.api_key
        if key is not None and (not key or not key.isascii() or not key.isprintable() or " " in key):
            raise ParamsError(f"{ENV_KEY} must be printable ASCII without spaces, and not empty")

    def check_count(self, n_texts: int) -> None:
        """Refuse too many texts, before they are looked at one by one."""
        if n_texts > self.max_texts:
            raise ServingError(413, f"{n_texts:,} texts in one request; the limit is {self.max_texts:,}")


@dataclass
class Service:
    """The state of the application."""

    classifier: SentimentClassifier
    queue: TextQueue
    settings: Settings
    metrics: CollectorRegistry
    held_bytes: int = 0  # of all bodies that are being read or answered
    parsing: asyncio.Lock = field(default_factory=asyncio.Lock)  # several large bodies would stop the event loop
    is_draining: bool = False  # the server is about to stop: it answers, but is not ready for more

    @property
    def text_columns(self) -> Sequence[str]:
        """The columns that the classifier was trained on: the body is the last one."""
        return self.classifier.classifier.config.features.text_columns


def service_of(request: Request) -> Service:
    """Return the service of a request's application."""
    service: Service = request.app.state.service
    return service


# --- bodies


def media_type(request: Request) -> str:
    """Return the content type in lower case, without its parameters; "" where the request has none."""
    return request.headers.get("content-type", "").split(";", 1)[0].strip().lower()


async def read_body(request: Request, *accepted: str) -> bytearray:
    """Return the body if its content type is accepted; its bytes count as held until the end of the request.

    Raises:
        ServingError: 429 or 503, the queue takes no text, or too many bodies are held; 415, another content type, or a
            compressed body; 413, it is longer than the limit, and nothing more of it is kept; or the client left.
    """
    service = service_of(request)
    service.queue.check_capacity(1)
    if media_type(request) not in accepted:
        given = f"'{media_type(request)[:60]}'" if media_type(request) else "missing"
        raise ServingError(415, f"content type is {given}; expected {' or '.join(accepted)}")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ServingError(415, "compressed bodies are not accepted; send it without content-encoding")
    limit = service.settings.max_body_bytes
    too_large = ServingError(413, f"the body is too large; the limit is {limit:,} bytes")
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
                raise ServingError(429, "the server holds too many large bodies; try again")
    except ClientDisconnect:
        raise ServingError(CLIENT_LEFT, "the client disconnected") from None
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
        ServingError: 422, what is wrong first; 413, more texts or objects than the limits, not looked at further.
    """
    check_brackets(body)
    try:
        content = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise ServingError(422, f"not JSON: {error}"[:MAX_REASON]) from None
    if not isinstance(content, dict):
        raise ServingError(422, "expected a JSON object with inputs")
    for value in content.values():
        settings.check_count(len(value) if isinstance(value, list) else 0)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        name = str(error.errors(include_url=False, include_input=False, include_context=False)[0]["loc"][0])
        problem = "expected" if name in content else "is missing; expected"
        raise ServingError(422, f"{name}: {problem} {model.model_fields[name].description}") from None


def check_brackets(body: bytearray) -> None:
    """Refuse a body that would become too many objects."""
    if body.count(b"[") + body.count(b"{") > MAX_BRACKETS:
        raise ServingError(413, f"more than {MAX_BRACKETS:,} opening brackets in one body; send it in several requests")


# --- answers


async def score(request: Request, texts: Sequence[str], blank_is_error: bool = True) -> list[float | None]:
    """Return the probability of "positive" of each text; None for white space only, unless `blank_is_error`.

    Raises:
        ServingError: a limit, a full queue, an unusable text, a failed batch, a client that left.
    """
    cleaned = check_texts(request, texts, blank_is_error)
    filled = [text for text, clean in zip(texts, cleaned, strict=True) if clean]
    scores = iter((await or_disconnect(request, service_of(request).queue.score(filled))).tolist())
    return [next(scores) if clean else None for clean in cleaned]


def check_texts(request: Request, texts: Sequence[str], blank_is_error: bool = True) -> list[str]:
    """Refuse a text that cannot be labeled, or too many; note their number for the access log.

    Returns:
        The texts as they are encoded, "" for one that is blank.
    """
    cleaned: list[str] = []
    settings = service_of(request).settings
    settings.check_count(len(texts))
    request.scope["n_texts"] = len(texts)
    for index, text in enumerate(texts):
        if len(text) > settings.max_chars:
            raise ServingError(413, f"text {index} has {len(text):,} characters; the limit is {settings.max_chars:,}")
        if "\0" in text:
            raise ServingError(422, f"text {index} holds a NUL character")
        cleaned += service_of(request).classifier.clean([text])  # after its length is checked
        if blank_is_error and not cleaned[-1]:
            raise ServingError(422, f"text {index} is empty")
    return cleaned


def both_labels(classifier: SentimentClassifier, probability: float, as_log_odds: bool = False) -> list[dict[str, Any]]:
    """Return label and score of both labels, the predicted one first; probabilities, which add up to 1, or log-odds.

    Before them stands "unsure", with the higher of the scores, where that is the answer.
    """
    negative, positive = classifier.labels
    scores = (probability, 1.0 - probability)
    if as_log_odds:
        p = min(max(probability, 1e-38), 1 - 2**-53)
        scores = (math.log(p / (1 - p)), math.log((1 - p) / p))
    labeled = [{"label": positive, "score": scores[0]}, {"label": negative, "score": scores[1]}]
    if probability < np.float32(classifier.threshold):
        labeled.reverse()
    if classifier.unsure and is_unsure(np.array([probability], np.float32), classifier.unsure).all():
        labeled.insert(0, {"label": UNSURE, "score": max(scores)})
    return labeled


async def or_disconnect(request: Request, result: Awaitable[Result]) -> Result:
    """Return the result, or cancel it and raise ServingError when the client hangs up before."""
    pending = asyncio.ensure_future(result)
    # what comes after the body is the end of the connection
    hung_up = asyncio.ensure_future(request.receive())
    hung_up.add_done_callback(lambda _: pending.cancel())
    try:
        return await pending
    except asyncio.CancelledError:
        if not hung_up.done():
            raise  # the request itself was canceled
        raise ServingError(CLIENT_LEFT, "the client disconnected") from None
    finally:
        pending.cancel()
        hung_up.cancel()


# --- text-embeddings-inference

open_router = APIRouter()  # what needs no key
router = APIRouter()
texts_router = APIRouter(responses=error_responses(*READING_ERRORS))
TEI, HUGGING_FACE, SAGEMAKER, OWN = "text-embeddings-inference", "Hugging Face Inference", "SageMaker", "The page"


@texts_router.post(
    "/predict",
    tags=[TEI],
    response_model=list[Prediction] | list[list[Prediction]],
    openapi_extra=request_body({JSON: PredictRequest.model_json_schema()}),
)
async def predict(request: Request) -> Response:
    """Score both labels of each text, the predicted one first; a batch gets a list for each text."""
    body = await read_json(request, PredictRequest)
    service = service_of(request)
    is_batch = isinstance(body.inputs, list)
    items = body.inputs if isinstance(body.inputs, list) else [body.inputs]
    if len(service.text_columns) == 1 and any(isinstance(item, tuple) for item in items):
        raise ServingError(
            422,
            'inputs: ["a", "b"] is a pair of title and body, and this classifier reads one text; '
            'two texts are [["a"], ["b"]]',
        )
    texts = [item if isinstance(item, str) else join_text(item) for item in items]
    if body.truncate is False:
        check_texts(request, texts)
        find = service.queue.run(partial(find_too_long, service.classifier, texts), len(texts))
        if found := await or_disconnect(request, find):
            limit = service.classifier.encoder.config.max_length
            raise ServingError(
                413, f"text {found[0]} has {found[1]:,} tokens; the classifier reads {limit:,} of a text"
            )
    scores = await score(request, texts)
    labeled = [both_labels(service.classifier, one, body.raw_scores) for one in scores if one is not None]
    return JSONResponse(labeled if is_batch else labeled[0])


@open_router.get("/health", tags=[TEI], response_class=Response, responses=error_responses(503))
@open_router.get("/ping", tags=[SAGEMAKER], response_class=Response, responses=error_responses(503))
async def health(request: Request) -> Response:
    """Answer 200 until the server begins to stop; nothing is computed for it."""
    service = service_of(request)
    if service.is_draining or not service.queue.is_open:
        raise ServingError(503, "the server is shutting down")
    return Response()


@router.get("/info", tags=[TEI], response_model=dict[str, object])
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
            "model_dtype": classifier.encoder.precision,
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
            "unsure": classifier.unsure,
            "max_chars": settings.max_chars,
            "text_columns": list(service.text_columns),
            "about": dict(settings.about),
        }
    )


@router.get(
    "/metrics",
    tags=[TEI],
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(request: Request) -> Response:
    """Count requests, texts, batches and seconds."""
    return Response(generate_latest(service_of(request).metrics), media_type=CONTENT_TYPE_PLAIN_0_0_4)


# --- Hugging Face Inference


@texts_router.post(
    "/",
    tags=[HUGGING_FACE],
    response_model=list[list[Prediction]],
    openapi_extra=request_body({JSON: PipelineRequest.model_json_schema()}),
)
async def classify(request: Request) -> Response:
    """Score the labels of each text, at most `top_k`, the predicted one first."""
    body = await read_json(request, PipelineRequest)
    parameters = body.parameters or PipelineParameters()
    scores = await score(request, [body.inputs] if isinstance(body.inputs, str) else body.inputs)
    classifier, raw = service_of(request).classifier, parameters.function_to_apply == "none"
    return JSONResponse([both_labels(classifier, one, raw)[: parameters.top_k] for one in scores if one is not None])


# --- SageMaker


@texts_router.post(
    "/invocations",
    tags=[SAGEMAKER],
    response_model=list[Labeled],
    responses={200: {"content": {kind: {"schema": {"type": "string"}} for kind in (JSON_LINES[0], CSV)}}},
    # OpenAPI has no words for the lines of the other two types
    openapi_extra=request_body({JSON: InvocationRequest.model_json_schema(), JSON_LINES[0]: {}, CSV: {}}),
)
async def invocations(request: Request) -> Response:
    """Label each record; the answer has the type of `Accept`, else that of the request, a line for a line."""
    kind = media_type(request)
    body = await read_body(request, JSON, CSV, *JSON_LINES)
    service = service_of(request)
    reader = {JSON: from_json_records, CSV: from_csv}.get(kind, from_json_lines)
    texts = await parse(request, body, partial(reader, columns=service.text_columns, settings=service.settings))
    scores = await score(request, texts, blank_is_error=False)
    nothing = {"label": None, "score": None}
    records = [nothing if one is None else both_labels(service.classifier, one)[0] for one in scores]
    accepted = [one.split(";")[0].strip().lower() for one in request.headers.get("accept", "").split(",")]
    kind = next((one for one in accepted if one in (JSON, CSV, *JSON_LINES)), kind)
    if kind == JSON:
        return JSONResponse(records)
    if kind == CSV:
        rows = io.StringIO()
        csv.writer(rows, lineterminator="\n").writerows(record.values() for record in records)
        return Response(rows.getvalue(), media_type=CSV)
    return Response("".join(json.dumps(record, allow_nan=False) + "\n" for record in records), media_type=kind)


def from_json_records(body: bytearray, columns: Sequence[str], settings: Settings) -> list[str]:
    """Return the texts of a JSON body."""
    records = parse_json(body, settings, InvocationRequest).inputs
    return [records] if isinstance(records, str) else records


def from_csv(body: bytearray, columns: Sequence[str], settings: Settings) -> list[str]:
    """Return a text for each record of CSV without header: the text, or all columns of training.

    Raises:
        ServingError: 422; it names the first record that is wrong.
    """
    csv.field_size_limit(max(csv.field_size_limit(), settings.max_chars + 1))  # of the process; `check_texts` refuses
    rows = enumerate(csv.reader(io.StringIO(_decoded(body), newline=""), strict=True), 1)
    texts: list[str] = []
    n_columns = 0  # of the first record that is not empty, and so of all
    allowed = " or ".join(str(n) for n in sorted({1, len(columns)}))
    try:
        for number, row in islice(rows, settings.max_texts + 1):
            n_columns = n_columns or len(row)
            if row and (len(row) != n_columns or len(row) not in (1, len(columns))):
                raise ServingError(
                    422,
                    f"record {number} has {len(row):,} columns; expected {allowed}, as many in each record: "
                    "put a text with commas in quotes",
                )
            if any(column.strip() for column in row[:-1]) and not row[-1].strip():
                raise ServingError(
                    422,
                    f"record {number} has an empty last column, which is the body of the review: "
                    "remove the comma at its end, or empty the whole record",
                )
            texts.append(join_text(row) if row else "")
    except csv.Error as error:
        raise ServingError(422, f"record {len(texts) + 1}: not CSV: {error}"[:MAX_REASON]) from None
    if not texts:
        raise ServingError(422, "the body has no records")
    return texts


def from_json_lines(body: bytearray, columns: Sequence[str], settings: Settings) -> list[str]:
    """Return a text for each line: a JSON string, or an object with `inputs`, `text`, or the columns of training.

    Raises:
        ServingError: 422; it names the first line that is wrong.
    """
    check_brackets(body)
    lines = _decoded(body).removesuffix("\n").split("\n")
    settings.check_count(len(lines))
    texts = []
    for number, line in enumerate(lines, 1):
        try:
            texts.append(_record_text(from_json(line, allow_inf_nan=False), columns))
        except ValueError:
            expected = f"expected a JSON string, or an object with texts in inputs, text or {columns[-1]}"
            raise ServingError(422, f"line {number}: {expected}"[:MAX_REASON]) from None
    return texts


def _decoded(body: bytearray) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ServingError(422, f"byte {error.start} is not UTF-8") from None


def _record_text(record: Any, columns: Sequence[str]) -> str:
    """Return the text of one JSON line, "" for null; the title stays with the body, by whatever name the body comes."""
    values = [record]
    if isinstance(record, dict):
        name = next((name for name in (columns[-1], "inputs", "text") if name in record), None)
        if name is None:
            raise ValueError
        values = ["" if value is None else value for value in (*map(record.get, columns[:-1]), record[name])]
    if not all(isinstance(value, str) for value in values):
        raise ValueError
    return join_text(values)


# --- what the page needs besides


@texts_router.post(
    "/explain",
    tags=[OWN],
    response_model=list[Explanation],
    openapi_extra=request_body({JSON: ExplainRequest.model_json_schema()}),
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
        raise ServingError(413, f"{n_chars:,} characters to explain; the limit is {service.settings.max_chars:,}")
    explained = service.queue.run(lambda: explain(service.classifier, texts), len(texts))
    explanations = await or_disconnect(request, explained)
    return JSONResponse([asdict(one) for one in explanations if one is not None])


@texts_router.post("/rows", tags=[OWN], response_model=FileRows, openapi_extra=request_body({BYTES: {}}))
async def rows(request: Request, name: str) -> Response:
    """Return the text of each row of a file, as `sentiment predict` reads it; the ending of `name` tells the format."""
    body = await read_body(request, BYTES)
    columns = InputColumns(tuple(service_of(request).text_columns))
    clean = service_of(request).classifier.clean
    return JSONResponse(await parse(request, body, partial(read_rows, name=name, columns=columns, clean=clean)))


def read_rows(
    body: bytearray, name: str, columns: InputColumns, clean: Callable[[Sequence[str]], Sequence[str]]
) -> dict[str, list[str]]:
    """Return what `FileRows` describes of the bytes of a file.

    Raises:
        ServingError: 415, another ending; 413, too many rows; 422, the reader's reason.
    """
    suffix = next((suffix for suffix in FILES if name.lower().endswith(suffix)), None)
    if suffix is None:
        raise ServingError(415, f"expected a file that ends in {', '.join(FILES)}; `sentiment predict` reads others")
    texts: list[str] = []
    problems: list[str] = []
    try:
        for batch in READERS[suffix](name[-60:], io.BytesIO(body), columns).batches:
            texts += [text if cleaned else "" for text, cleaned in zip(batch.texts, clean(batch.texts), strict=True)]
            if len(texts) > MAX_ROWS:
                raise ServingError(413, f"more than {MAX_ROWS:,} rows in one file; use `sentiment predict`")
            problems += [f"row {batch.first + index:,} {reason}" for index, reason in batch.errors.items()]
    except PipelineError as error:
        raise ServingError(422, one_line(error)[:MAX_REASON]) from None
    return {"texts": texts, "problems": problems[:MAX_PROBLEMS]}
