"""This project's own path: POST /explain, the words that made a probability. The page uses it."""

from dataclasses import asdict

from fastapi import APIRouter, Request, Response

from sentiment.inference.explanation import explain
from sentiment.serving.body import read_json
from sentiment.serving.openapi import READING_ERRORS, error_responses, json_body
from sentiment.serving.replies import json_reply
from sentiment.serving.schemas import ExplainedText, ExplainRequest
from sentiment.serving.service import check_texts, in_worker, service_of

router = APIRouter(tags=["Explanations"])


@router.post(
    "/explain",
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
    classifier = service_of(request).classifier
    explanations = await in_worker(request, len(texts), lambda: explain(classifier, texts))
    return json_reply([asdict(one) for one in explanations if one is not None])
