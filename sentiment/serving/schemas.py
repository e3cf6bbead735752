"""Describe what clients send and what they get: bodies, answers and errors, as the OpenAPI document shows them."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

ErrorType = Literal["Unhealthy", "Backend", "Overloaded", "Validation", "Unauthorized"]
Responses = dict[int | str, dict[str, Any]]


class ServingError(Exception):
    """An answer other than 200; the message is one line for the person who wrote the client.

    Attributes:
        status: of the HTTP response.
        error_type: as text-embeddings-inference names it.
        headers: that the response gets besides its own.
    """

    status = 500
    error_type: ErrorType = "Backend"
    headers: Mapping[str, str] = {}


class InvalidRequestError(ServingError):
    """A body that is not what the API document describes."""

    status, error_type = 422, "Validation"


class UnauthorizedError(ServingError):
    """A request without the key, or with another."""

    status, error_type = 401, "Unauthorized"
    headers = {"WWW-Authenticate": "Bearer"}  # noqa: RUF012 - never changed


class TooLargeError(ServingError):
    """A body, a text or a number of texts above the limit."""

    status, error_type = 413, "Validation"


class UnsupportedMediaTypeError(ServingError):
    """A content type or content encoding that the path does not take."""

    status, error_type = 415, "Validation"


class InferenceFailedError(ServingError):
    """The model raised an error; the server's log has its traceback."""

    status, error_type = 424, "Backend"


class OverloadedError(ServingError):
    """The server is full; the same request is welcome a second later."""

    status, error_type = 429, "Overloaded"
    headers = {"Retry-After": "1"}  # noqa: RUF012 - never changed


class ClientDisconnectedError(ServingError):
    """The client hung up before its answer; nobody reads this status but the access log."""

    status, error_type = 499, "Validation"


class ShuttingDownError(ServingError):
    """The server has been asked to stop."""

    status, error_type = 503, "Unhealthy"
    headers = {"Retry-After": "5"}  # noqa: RUF012 - never changed


# at least one character that is not white space or a control character, and no NUL
TEXT_PATTERN = r"^[^\x00]*[^\s\x00-\x20\x7f-\xa0][^\x00]*$"
Text = Annotated[str, StringConstraints(pattern=TEXT_PATTERN)]
RecordText = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]  # a record may have no text


def whole_number(value: object) -> object:
    """Return a float without a fraction as an int: 2.0 is an integer in JSON Schema, and true is none."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Positive = Annotated[int, Field(ge=1, le=2**31), BeforeValidator(whole_number)]


class Schema(BaseModel):
    """A body; keys that it does not name are ignored, as other servers ignore them."""

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
Pair = Annotated[list[Text], Field(min_length=2, max_length=2)]


class PredictRequest(Schema):
    """Texts for `/predict`: one text, a pair of title and body, or a batch of lists of one text or a pair."""

    inputs: Text | Pair | Annotated[list[Single | Pair], Field(min_length=1)]
    raw_scores: bool = False
    truncate: bool | None = None  # false: a text that the encoder does not read to its end is an error
    truncation_direction: Literal["Right", "right"] = "Right"  # the encoder reads a text from its beginning


class PipelineParameters(Schema):
    """Parameters of a text-classification request to Hugging Face Inference."""

    top_k: Positive | None = None
    function_to_apply: Literal["sigmoid", "softmax", "none"] | None = None


class PipelineRequest(Schema):
    """One text, or a list of texts."""

    inputs: Text | Annotated[list[Text], Field(min_length=1)]
    parameters: PipelineParameters | None = None


class InvocationInputs(Schema):
    """Records for `/invocations` as JSON: one, or a list."""

    inputs: RecordText | Annotated[list[RecordText], Field(min_length=1)]


class InvocationInstances(Schema):
    """Records for `/invocations` as JSON, by the name that TensorFlow Serving gives them."""

    instances: Annotated[list[RecordText], Field(min_length=1)]


class Record(Schema):
    """The answer to one record; both null where it has no text."""

    label: str | None
    score: float | None


class ExplainRequest(Schema):
    """One text, or a list of at most 64."""

    inputs: Text | Annotated[list[Text], Field(min_length=1, max_length=64)]


class ExplainedWord(Schema):
    """A word, its offsets in the text by code points, and its contribution to the logit."""

    text: str
    start: int
    end: int
    contribution: float


class ExplainedText(Schema):
    """A label, and what adds up to its logit: bias, special tokens and words."""

    label: str
    probability: float
    logit: float
    bias: float
    special_tokens: float
    words: list[ExplainedWord]
    method: Literal["exact sum", "gradient times input"]
    is_truncated: bool


READING_ERRORS: tuple[type[ServingError], ...] = (
    TooLargeError,
    UnsupportedMediaTypeError,
    InvalidRequestError,
    InferenceFailedError,
    OverloadedError,
    ShuttingDownError,
)


def error_responses(*kinds: type[ServingError]) -> Responses:
    """Return the description of errors, by status."""
    return {kind.status: {"model": ErrorResponse, "description": str(kind.__doc__)} for kind in kinds}


def request_body(content: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the description of a body that is read by hand, given the schema of each content type."""
    return {"requestBody": {"required": True, "content": {kind: {"schema": s} for kind, s in content.items()}}}


def json_body(*models: type[BaseModel]) -> dict[str, Any]:
    """Return the description of a JSON body that one of the models describes."""
    return request_body({"application/json": json_schema(*models)})


def json_schema(*models: type[BaseModel]) -> dict[str, Any]:
    """Return one schema for what any of the models describes; it refers to no other part of the document."""
    schemas = []
    for model in models:
        schema = model.model_json_schema()
        schemas.append(_without_references(schema, schema.pop("$defs", {})))
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _without_references(schema: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_without_references(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _without_references(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
    return {key: _without_references(value, definitions) for key, value in schema.items()}
