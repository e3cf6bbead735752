"""The container contract of Amazon SageMaker: GET /ping and POST /invocations, for endpoints and batch transform.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
"""

import csv
import io
import json
from collections.abc import Sequence
from itertools import islice
from typing import Any

from fastapi import APIRouter, Request, Response

from sentiment.data.text import join_text
from sentiment.serving.body import JSON, media_type, parse_json, read_body
from sentiment.serving.errors import InvalidRequestError, ShuttingDownError, UnsupportedMediaTypeError
from sentiment.serving.limits import Limits
from sentiment.serving.openapi import READING_ERRORS, error_responses, reference, request_body
from sentiment.serving.replies import json_reply
from sentiment.serving.schemas import InvocationInputs, InvocationInstances, Record
from sentiment.serving.service import Answer, answer, service_of

router = APIRouter(tags=["SageMaker"])
JSON_LINES = ("application/jsonlines", "application/x-jsonlines", "application/jsonl", "application/x-ndjson")
CSV = "text/csv"
STRING = {"type": "string"}
ANY_TEXT: dict[str, Any] = {}  # OpenAPI has no words for the lines of these types
JSON_SCHEMA = {"anyOf": [reference(InvocationInputs), reference(InvocationInstances)]}


@router.get("/ping", summary="Tell whether texts are accepted", responses=error_responses(ShuttingDownError))
async def ping(request: Request) -> Response:
    """Answer 200 while the workers run."""
    if not service_of(request).batcher.is_alive:
        raise ShuttingDownError("the server is shutting down")
    return json_reply({})


@router.post(
    "/invocations",
    summary="Label records in JSON, JSON lines or CSV",
    responses={
        200: {"model": list[Record], "content": {JSON_LINES[0]: {"schema": STRING}, CSV: {"schema": STRING}}},
        **error_responses(*READING_ERRORS),
    },
    openapi_extra=request_body({JSON: JSON_SCHEMA, JSON_LINES[0]: ANY_TEXT, CSV: ANY_TEXT}),
)
async def invocations(request: Request) -> Response:
    """Label each record; the answer has the request's content type, or that of `Accept`, a line for a line."""
    kind = media_type(request)
    body = await read_body(request, JSON, CSV, *JSON_LINES)
    service = service_of(request)
    if kind == JSON:
        texts = from_json(body, service.limits)
    elif kind == CSV:
        texts = from_csv(decoded(body), service.limits)
    else:
        columns = service.classifier.classifier.config.features.text_columns
        texts = from_json_lines(decoded(body), columns, service.limits)
    if not texts:
        raise InvalidRequestError("the body has no records")
    accepted = accepted_type(request, kind)
    return render(await answer(request, texts, blank_is_error=False), accepted)


def decoded(body: bytes) -> str:
    """Return a body as text; raises InvalidRequestError where it is not UTF-8."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"byte {error.start} is not UTF-8") from None


def from_json(body: bytes, limits: Limits) -> list[str]:
    """Return the texts of a JSON body."""
    try:
        records = parse_json(body, InvocationInputs, limits).inputs
    except InvalidRequestError:
        records = parse_json(body, InvocationInstances, limits).instances
    return [records] if isinstance(records, str) else records


def from_csv(body: str, limits: Limits) -> list[str]:
    """Return a text a line of CSV without header; several columns are joined as title and body are."""
    reader = csv.reader(io.StringIO(body, newline=""), strict=True)
    try:
        rows = list(islice(reader, limits.max_texts + 1))
    except csv.Error as error:
        raise InvalidRequestError(f"not CSV: {error}") from None
    return [join_text(row) if row else "" for row in rows]


def from_json_lines(body: str, columns: Sequence[str], limits: Limits) -> list[str]:
    """Return a text a line: a JSON string, or an object with `inputs`, `text`, or the columns of training."""
    lines = body.removesuffix("\n").split("\n")
    limits.check_count(len(lines))
    texts = []
    for number, line in enumerate(lines, 1):
        try:
            texts.append(_record_text(json.loads(line), columns))
        except (ValueError, RecursionError):
            raise InvalidRequestError(
                f"line {number} is not a JSON string, nor an object with inputs, text or {columns[-1]}"
            ) from None
    return texts


def _record_text(record: Any, columns: Sequence[str]) -> str:
    if isinstance(record, dict):
        key = next((key for key in ("inputs", "text") if key in record), None)
        values = [record[key]] if key else [record.get(column) or "" for column in columns]
        if key is None and columns[-1] not in record:
            raise ValueError
    else:
        values = [record]
    if not all(isinstance(value, str) for value in values):
        raise ValueError
    text = join_text(values)
    text.encode()  # a lone surrogate raises UnicodeEncodeError, a ValueError
    return text


def accepted_type(request: Request, kind: str) -> str:
    """Return the content type of the answer: the first of `Accept` that is available, else that of the request."""
    header = request.headers.get("accept", "")
    wanted = [one.split(";", 1)[0].strip().lower() for one in header.split(",")]
    available = (JSON, CSV, *JSON_LINES)
    if not header or any(one in ("*/*", "application/*", "text/*", "") for one in wanted):
        return next((one for one in wanted if one in available), kind)
    for one in wanted:
        if one in available:
            return one
    raise UnsupportedMediaTypeError(f"Accept is '{header[:60]}'; available are {', '.join(available)}")


def render(answers: Sequence[Answer], kind: str) -> Response:
    """Return the records in a content type."""
    records = [one.predicted() for one in answers]
    if kind == JSON:
        return json_reply(records)
    if kind == CSV:
        rows = io.StringIO()
        csv.writer(rows, lineterminator="\n").writerows([record["label"], record["score"]] for record in records)
        return Response(rows.getvalue(), media_type=CSV)
    return Response("".join(json.dumps(record) + "\n" for record in records), media_type=kind)
