"""JSON responses: results and errors."""

import json
import logging
from typing import Any

from fastapi import Request, Response
from starlette.exceptions import HTTPException

from sentiment.serving.errors import ServingError

log = logging.getLogger(__name__)
HTTP_ERROR_TYPES = {"error_type": "Validation"}


def json_reply(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON response; NaN is refused, because it is not JSON."""
    body = json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return Response(body, status, headers, media_type="application/json")


def error_reply(error: ServingError) -> Response:
    """Return the response for an error that has a status of its own."""
    return json_reply({"error": str(error), "error_type": error.error_type}, error.status, dict(error.headers))


async def on_serving_error(request: Request, error: Exception) -> Response:
    """Answer an error of this package."""
    assert isinstance(error, ServingError)
    return error_reply(error)


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer what the framework refuses: an unknown path or method."""
    assert isinstance(error, HTTPException)
    content = {"error": str(error.detail), **HTTP_ERROR_TYPES}
    headers = {name.title(): value for name, value in (error.headers or {}).items()}
    operations = request.app.openapi()["paths"].get(request.url.path)
    if error.status_code == 405 and operations:  # a path may have a route for each method; the framework names one's
        headers["Allow"] = ", ".join(sorted(operations)).upper()
    return json_reply(content, error.status_code, headers)


async def on_defect(request: Request, error: Exception) -> Response:
    """Answer an error that is a defect of this project; its traceback is in the log."""
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return json_reply({"error": "internal error; see the server's log", "error_type": "Backend"}, 500)
