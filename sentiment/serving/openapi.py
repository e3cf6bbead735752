"""The OpenAPI document: bodies that are read by hand, and every error, described beside each path."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from sentiment.serving import errors, schemas
from sentiment.serving.errors import ServingError

Responses = dict[int | str, dict[str, Any]]
COMPONENT = "#/components/schemas/{model}"
READING_ERRORS: tuple[type[ServingError], ...] = (
    errors.SlowBodyError,
    errors.TooLargeError,
    errors.UnsupportedMediaTypeError,
    errors.InvalidRequestError,
    errors.InferenceFailedError,
    errors.OverloadedError,
    errors.ShuttingDownError,
)
BODIES: list[type[BaseModel]] = [
    schemas.ExplainRequest,
    schemas.PredictRequest,
    schemas.PipelineRequest,
    schemas.InvocationInputs,
    schemas.InvocationInstances,
    schemas.InferRequest,
]


def error_responses(*kinds: type[ServingError]) -> Responses:
    """Return the description of errors, by status."""
    return {kind.status: {"model": schemas.ErrorResponse, "description": str(kind.__doc__)} for kind in kinds}


def request_body(content: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the description of a body, given the schema of each content type."""
    return {"requestBody": {"required": True, "content": {kind: {"schema": s} for kind, s in content.items()}}}


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """Return the description of a body that `read_json` reads."""
    return request_body({"application/json": reference(model)})


def reference(model: type[BaseModel]) -> dict[str, Any]:
    """Return a reference to a schema of the document."""
    return {"$ref": COMPONENT.format(model=model.__name__)}


def document(app: FastAPI, open_paths: Sequence[str], needs_key: bool) -> dict[str, Any]:
    """Return the document of an application.

    Args:
        app: with all its routes.
        open_paths: that need no key.
        needs_key: whether the others do.
    """
    content = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
    )
    _, definitions = models_json_schema([(model, "validation") for model in BODIES], ref_template=COMPONENT)
    components = content.setdefault("components", {})
    components["schemas"] = {**definitions["$defs"], **components.get("schemas", {})}
    if needs_key:
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for path, operations in content["paths"].items():
            if path in open_paths:
                continue
            for operation in operations.values():
                operation["security"] = [{"key": []}]
                operation["responses"]["401"] = {
                    "description": str(errors.UnauthorizedError.__doc__),
                    "content": {"application/json": {"schema": reference(schemas.ErrorResponse)}},
                }
    return content
