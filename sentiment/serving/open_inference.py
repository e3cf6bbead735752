"""The Open Inference Protocol, version 2, over HTTP: BYTES tensors in, labels and probabilities out.

https://github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md

Triton's extension for binary tensors, which its own client uses by default, is understood too.
"""

import json
import struct
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response

from sentiment.serving.body import JSON, parse_json, read_body
from sentiment.serving.errors import InvalidRequestError, ShuttingDownError
from sentiment.serving.openapi import READING_ERRORS, Responses, error_responses, json_body
from sentiment.serving.replies import json_reply
from sentiment.serving.schemas import InferRequest, InferResponse, InputTensor
from sentiment.serving.service import Answer, answer, service_of

router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])
MODEL = "sentiment"
VERSION = "1"
OCTETS = "application/octet-stream"
HEADER_LENGTH = "inference-header-content-length"
OUTPUTS = {"label": "BYTES", "probability": "FP32"}
METADATA = {
    "name": MODEL,
    "versions": [VERSION],
    "platform": "sentiment",
    "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
    "outputs": [{"name": name, "datatype": datatype, "shape": [-1]} for name, datatype in OUTPUTS.items()],
}
Flag = dict[str, bool]
DESCRIBED: Responses = {200: {"model": dict[str, Any]}}


@router.get("", summary="Describe the server", responses={**DESCRIBED})
async def server_metadata() -> Response:
    """Name and version of the server, and the extensions that it understands."""
    content = {"name": "sentiment", "version": version("frozen-albert-sentiment"), "extensions": ["binary_tensor_data"]}
    return json_reply(content)


@router.get("/health/live", summary="Tell whether the server runs", responses={200: {"model": Flag}})
async def live() -> Response:
    """Answer 200."""
    return json_reply({"live": True})


async def ready(request: Request) -> Response:
    """Answer 200 while the workers run."""
    if not service_of(request).batcher.is_alive:
        raise ShuttingDownError("the server is shutting down")
    return json_reply({"ready": True})


async def model_metadata() -> Response:
    """Describe the tensors."""
    return json_reply(METADATA)


async def infer(request: Request) -> Response:
    """Label each text of the input tensor `text`."""
    body = await read_body(request, JSON, OCTETS, "")  # Triton's client names no type
    head, binary = split_body(body, request.headers.get(HEADER_LENGTH))
    parsed = parse_json(head, InferRequest, service_of(request).limits)
    requested: list[str] = [output.name for output in parsed.outputs or []] or list(OUTPUTS)
    service_of(request).limits.check_count(len(parsed.inputs[0].data or []))
    answers = await answer(request, tensor_texts(parsed.inputs[0], binary))
    as_binary: set[str] = {
        output.name for output in parsed.outputs or [] if (output.parameters or {}).get("binary_data") is True
    }  # fmt: skip
    if (parsed.parameters or {}).get("binary_data_output") is True and not parsed.outputs:
        as_binary = set(OUTPUTS)
    content: dict[str, Any] = {"model_name": MODEL, "model_version": VERSION}
    if parsed.id is not None:
        content["id"] = parsed.id
    return render(content, answers, requested, as_binary)


def split_body(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    """Return the JSON and the binary tensors of a body, given the header with the length of the first."""
    if header_length is None:
        return body, b""
    if not (header_length.isascii() and header_length.isdigit()) or int(header_length) > len(body):
        raise InvalidRequestError(f"{HEADER_LENGTH} is not a length within the body")
    return body[: int(header_length)], body[int(header_length) :]


def tensor_texts(tensor: InputTensor, binary: bytes) -> list[str]:
    """Return the texts of a BYTES tensor of shape [n] or [n, 1].

    Raises:
        InvalidRequestError: the shape is another, or the binary data are not texts.
    """
    size = (tensor.parameters or {}).get("binary_data_size")
    if size is None:
        texts: list[Any] = [one[0] if isinstance(one, list) and len(one) == 1 else one for one in tensor.data or []]
    elif size == len(binary):
        texts = length_prefixed(binary)
    else:
        raise InvalidRequestError("inputs.0.parameters.binary_data_size: not the number of bytes behind the JSON")
    if not all(isinstance(text, str) for text in texts):
        raise InvalidRequestError("inputs.0.data: expected texts, or lists of one text each")
    if not texts or tensor.shape not in ([len(texts)], [len(texts), 1], [1, len(texts)]):
        raise InvalidRequestError(f"inputs.0.shape: {len(texts)} texts, expected shape [n] with n of at least 1")
    return [str(text) for text in texts]


def length_prefixed(binary: bytes) -> list[str]:
    """Return texts, each behind its length as 4 bytes, little-endian."""
    texts, start = [], 0
    try:
        while start < len(binary):
            (length,) = struct.unpack_from("<I", binary, start)
            start += 4 + length
            if start > len(binary):
                raise InvalidRequestError("inputs.0: a text ends behind the body")
            texts.append(binary[start - length : start].decode())
    except (struct.error, UnicodeDecodeError):
        raise InvalidRequestError("inputs.0: not texts in UTF-8 behind their lengths") from None
    return texts


def render(content: dict[str, Any], answers: Sequence[Answer], names: Sequence[str], as_binary: set[str]) -> Response:
    """Return the output tensors, those in `as_binary` behind the JSON."""
    values: dict[str, list[Any]] = {
        "label": [str(one.label) for one in answers],
        "probability": [one.probability for one in answers],
    }
    outputs, tail = [], b""
    for name in names:
        output: dict[str, Any] = {"name": name, "shape": [len(answers)], "datatype": OUTPUTS[name]}
        if name in as_binary:
            tensor = encoded(values[name])
            output["parameters"] = {"binary_data_size": len(tensor)}
            tail += tensor
        else:
            output["data"] = values[name]
        outputs.append(output)
    if not tail:
        return json_reply({**content, "outputs": outputs})
    head = json.dumps({**content, "outputs": outputs}).encode()
    return Response(head + tail, headers={HEADER_LENGTH: str(len(head))}, media_type=OCTETS)


def encoded(values: Sequence[Any]) -> bytes:
    """Return texts behind their lengths, or probabilities as little-endian float32."""
    if isinstance(values[0], str):
        return b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in values)
    return np.asarray(values, dtype="<f4").tobytes()


MODEL_PATHS = (f"/models/{MODEL}", f"/models/{MODEL}/versions/{VERSION}")
router.add_api_route(
    "/health/ready", ready, summary="Tell whether texts are accepted",
    responses={200: {"model": Flag}, **error_responses(ShuttingDownError)},
)  # fmt: skip
for path in MODEL_PATHS:
    router.add_api_route(path, model_metadata, summary="Describe the model", responses={**DESCRIBED})
    router.add_api_route(
        f"{path}/ready", ready, summary="Tell whether texts are accepted",
        responses={200: {"model": Flag}, **error_responses(ShuttingDownError)},
    )  # fmt: skip
    router.add_api_route(
        f"{path}/infer", infer, methods=["POST"], summary="Label the texts of a tensor",
        responses={200: {"model": InferResponse}, **error_responses(*READING_ERRORS)},
        openapi_extra=json_body(InferRequest),
    )  # fmt: skip
