"""The bodies of requests and answers, as they stand in the OpenAPI document."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

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
    error_type: Literal["Unhealthy", "Backend", "Overloaded", "Validation", "Tokenizer", "Unauthorized"]


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
    truncate: bool | None = None
    truncation_direction: Literal["Left", "Right", "left", "right"] = "Right"


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


class InputTensor(Schema):
    """A tensor of texts: BYTES of shape [n] or [n, 1]."""

    name: Literal["text"]
    shape: Annotated[list[Positive], Field(min_length=1, max_length=2)]
    datatype: Literal["BYTES"]
    parameters: dict[str, Any] | None = None
    data: list[Text] | list[Single] | None = None


class RequestedOutput(Schema):
    """The name of an output tensor that the client asks for."""

    name: Literal["label", "probability"]
    parameters: dict[str, Any] | None = None


class InferRequest(Schema):
    """An inference request of the Open Inference Protocol."""

    id: str | None = None
    parameters: dict[str, Any] | None = None
    inputs: Annotated[list[InputTensor], Field(min_length=1, max_length=1)]
    outputs: list[RequestedOutput] | None = None


class OutputTensor(Schema):
    """A tensor of the answer."""

    name: str
    shape: list[int]
    datatype: Literal["BYTES", "FP32"]
    data: list[Any]


class InferResponse(Schema):
    """The answer to an inference request."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]
