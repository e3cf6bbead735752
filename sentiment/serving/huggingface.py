"""The API of Hugging Face Inference for text classification: POST /.

from huggingface_hub import InferenceClient
InferenceClient("http://127.0.0.1:8080").text_classification("Lovely dress")
"""

from fastapi import APIRouter, Request, Response

from sentiment.serving.body import read_json
from sentiment.serving.openapi import READING_ERRORS, error_responses, json_body
from sentiment.serving.replies import json_reply
from sentiment.serving.schemas import PipelineParameters, PipelineRequest, Prediction
from sentiment.serving.service import answer

router = APIRouter(tags=["Hugging Face Inference"])


@router.post(
    "/",
    summary="Label one text, or a list of texts",
    responses={200: {"model": list[list[Prediction]]}, **error_responses(*READING_ERRORS)},
    openapi_extra=json_body(PipelineRequest),
)
async def classify(request: Request) -> Response:
    """Score the labels of each text, at most `top_k`, the predicted one first."""
    body = await read_json(request, PipelineRequest)
    parameters = body.parameters or PipelineParameters()
    texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
    answers = await answer(request, texts)
    raw = parameters.function_to_apply == "none"
    scores = [one.log_odds() if raw else one.scores() for one in answers]
    return json_reply([one[: parameters.top_k] for one in scores])
