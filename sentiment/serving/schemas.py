"""Describe what clients send and what they get: bodies, answers and errors, as the OpenAPI document shows them."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, StringConstraints, WithJsonSchema
from starlette.exceptions import HTTPException

ENV_KEY = "SENTIMENT_API_KEY"  # the environment variable of the key that clients must send
ErrorType = Literal["Unhealthy", "Backend", "Overloaded", "Validation", "Unauthorized"]
Responses = dict[int | str, dict[str, Any]]

ERRORS: Mapping[int, tuple[ErrorType, str]] = {  # by status; the types are those of text-embeddings-inference
    401: ("Unauthorized", "A request without the key, or with another."),
    413: ("Validation", "A body, a text or a number of texts above the limit."),
    415: ("Validation", "A content type or content encoding that the path does not take."),
    422: ("Validation", "A body that is not what the API document describes."),
    424: ("Backend", "The model raised an error; the server's log has its traceback."),
    429: ("Overloaded", "The server is full; the same request is welcome a second later."),
    503: ("Unhealthy", "The server has been asked to stop."),
}
HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 429: {"Retry-After": "1"}, 503: {"Retry-After": "5"}}
READING_ERRORS = (413, 415, 422, 424, 429, 503)  # of a path that reads texts
CLIENT_LEFT = 499  # which nobody reads but the access log


class ServingError(HTTPException):
    """An answer other than 200.

    Args:
        status: a key of `ERRORS`, or `CLIENT_LEFT`.
        message: one line for the person who wrote the client.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message, HEADERS.get(status))


# at least one character that is not white space or a control character, and no NUL
TEXT_PATTERN = r"^[^\x00]*[^\s\x00-\x20\x7f-\xa0][^\x00]*$"
Text = Annotated[str, StringConstraints(pattern=TEXT_PATTERN)]
Record = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]  # which may have no text


def whole_number(value: object) -> object:
    """Return a float without a fraction as an int: 2.0 is an integer in JSON Schema, and true is none."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Positive = Annotated[int, Field(ge=1, le=2**31), BeforeValidator(whole_number)]


class Schema(BaseModel):
    """A body; keys that it does not name are ignored, as other servers ignore them.

    The description of a field completes "expected ..." where a client sends something else.
    """

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, protected_namespaces=())


class ErrorResponse(Schema):
    """An error, in the words of text-embeddings-inference."""

    error: str
    error_type: ErrorType


class Prediction(Schema):
    """A label and its score."""

    label: str
    score: float


Single = Annotated[list[Text], Field(min_length=1, max_length=1)]
Pair = Annotated[tuple[Record, Text], Strict(False)]  # title, which may be blank, and body; JSON has no tuples


class PredictRequest(Schema):
    """Texts for `/predict`: one text, a pair of title and body, or a batch of lists of one text or a pair."""

    inputs: Text | Pair | Annotated[list[Single | Pair], Field(min_length=1)] = Field(
        description='a text that is not blank, a pair of title and body, or a list as [["a"], ["b"]]'
    )
    raw_scores: bool = Field(False, description="true or false")
    truncate: bool | None = Field(
        None, description="true, false or null; false refuses a text of which the encoder reads the beginning only"
    )
    truncation_direction: Literal["Right", "right"] = Field(
        "Right", description='"Right": the encoder reads a text from its beginning'
    )


class PipelineParameters(Schema):
    """Parameters of a text-classification request to Hugging Face Inference."""

    top_k: Positive | None = None
    function_to_apply: Literal["sigmoid", "softmax", "none"] | None = None


class PipelineRequest(Schema):
    """One text, or a list of texts."""

    inputs: Text | Annotated[list[Text], Field(min_length=1)] = Field(
        description="a text that is not blank, or a list of texts"
    )
    # the schema in its place: what describes a body refers to no other part of the document
    parameters: Annotated[
        PipelineParameters | None, WithJsonSchema({"anyOf": [PipelineParameters.model_json_schema(), {"type": "null"}]})
    ] = Field(None, description='{"top_k": a whole number from 1, "function_to_apply": "sigmoid", "softmax" or "none"}')


class InvocationRequest(Schema):
    """Records for `/invocations` as JSON: one, or a list."""

    inputs: Record | Annotated[list[Record], Field(min_length=1)] = Field(description="a text, or a list of texts")


class Labeled(Schema):
    """The answer to one record; both null where it has no text."""

    label: str | None
    score: float | None


class ExplainRequest(Schema):
    """One text, or a list of at most 64."""

    inputs: Text | Annotated[list[Text], Field(min_length=1, max_length=64)] = Field(
        description="a text that is not blank, or a list of at most 64"
    )


class FileRows(Schema):
    """The texts of a file, "" where a row has none, and what is wrong with its first broken rows."""

    texts: list[str]
    problems: list[str]


def error_responses(*statuses: int) -> Responses:
    """Return the description of errors, by status."""
    return {status: {"model": ErrorResponse, "description": ERRORS[status][1]} for status in statuses}


def request_body(content: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the description of a body that is read by hand, given the schema of each content type."""
    return {"requestBody": {"required": True, "content": {kind: {"schema": s} for kind, s in content.items()}}}
