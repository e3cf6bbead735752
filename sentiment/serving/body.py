"""Reads a request's body within limits, and JSON in it as a pydantic model."""

import asyncio
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.requests import ClientDisconnect

from sentiment.serving.errors import (
    ClientDisconnectedError,
    InvalidRequestError,
    SlowBodyError,
    TooLargeError,
    UnsupportedMediaTypeError,
)  # fmt: skip
from sentiment.serving.limits import Limits
from sentiment.serving.service import service_of

JSON = "application/json"
MAX_REASON = 300  # characters of a message that may quote the body

Model = TypeVar("Model", bound=BaseModel)


def media_type(request: Request) -> str:
    """Return the content type in lower case, without its parameters; "" where the request has none."""
    return request.headers.get("content-type", "").split(";", 1)[0].strip().lower()


async def read_body(request: Request, *accepted: str) -> bytes:
    """Return the body.

    Args:
        request: that has not been read.
        accepted: content types; "" is none.

    Raises:
        UnsupportedMediaTypeError: another content type, or a compressed body.
        TooLargeError: it is longer than the limit; nothing more of it is kept.
        SlowBodyError: it did not arrive in time.
        ClientDisconnectedError: the client left before its end.
    """
    limits = service_of(request).limits
    if media_type(request) not in accepted:
        given = f"'{media_type(request)[:60]}'" if media_type(request) else "missing"
        raise UnsupportedMediaTypeError(f"content type is {given}; expected {' or '.join(filter(None, accepted))}")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaTypeError("compressed bodies are not accepted; send it without content-encoding")
    too_large = TooLargeError(f"the body is too large; the limit is {limits.max_body_bytes:,} bytes")
    if int(request.headers.get("content-length") or 0) > limits.max_body_bytes:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_timeout):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.max_body_bytes:
                    raise too_large
    except TimeoutError:
        raise SlowBodyError(f"the body did not arrive within {limits.body_timeout:g} s") from None
    except ClientDisconnect:
        raise ClientDisconnectedError("the client disconnected") from None
    request.scope["n_bytes"] = len(body)
    return bytes(body)


async def read_json(request: Request, model: type[Model]) -> Model:
    """Return the JSON body as `model`.

    Raises:
        ServingError: as `read_body`, or InvalidRequestError for what is not JSON or not what the model describes.
    """
    return parse_json(await read_body(request, JSON), model, service_of(request).limits)


def parse_json(body: bytes, model: type[Model], limits: Limits) -> Model:
    """Return JSON as `model`.

    Raises:
        InvalidRequestError: what is wrong first.
        TooLargeError: a list of more texts than the limit, which is not looked at further.
    """
    try:
        content = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRequestError(f"not JSON: {error}"[:MAX_REASON]) from None
    if isinstance(content, dict):
        for value in content.values():
            limits.check_count(len(value) if isinstance(value, list) else 0)
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
