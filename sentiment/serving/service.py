"""What all API shapes share: from the texts of a request to their answers."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from fastapi import Request
from numpy.typing import NDArray

from sentiment.inference.classifier import SentimentClassifier
from sentiment.serving.batcher import Batcher
from sentiment.serving.errors import ClientDisconnectedError, InvalidRequestError
from sentiment.serving.limits import Limits

Result = TypeVar("Result")


@dataclass(frozen=True)
class Service:
    """The state of the application.

    Attributes:
        classifier: what answers.
        batcher: the queue and its workers.
        limits: of requests.
        about: what the classifier is: accuracy with its interval, data, commit; whatever is available.
        api_key: that clients must send; None where none is asked for.
    """

    classifier: SentimentClassifier
    batcher: Batcher
    limits: Limits
    about: Mapping[str, Any] = field(default_factory=dict)
    api_key: str | None = None


def service_of(request: Request) -> Service:
    """Return the service of a request's application."""
    service: Service = request.app.state.service
    return service


@dataclass(frozen=True)
class Answer:
    """The answer to one text; label and probability are None for a text of white space only.

    Attributes:
        label: "positive" or "negative", by the classifier's threshold.
        probability: of "positive", the float32 that `SentimentClassifier.predict_proba` returns.
        other: the label that it is not.
    """

    label: str | None
    probability: float | None
    other: str | None
    is_positive: bool = False

    def scores(self) -> list[dict[str, Any]]:
        """Return label and score of both labels, the predicted one first."""
        assert self.probability is not None
        score = self.probability if self.is_positive else 1.0 - self.probability
        return [{"label": self.label, "score": score}, {"label": self.other, "score": 1.0 - score}]

    def log_odds(self) -> list[dict[str, Any]]:
        """Return label and log-odds of both labels, the predicted one first."""
        assert self.probability is not None
        p = min(max(self.probability, 1e-38), 1 - 2**-53)
        logit = math.log(p / (1 - p)) if self.is_positive else math.log((1 - p) / p)
        return [{"label": self.label, "score": logit}, {"label": self.other, "score": -logit}]

    def predicted(self) -> dict[str, Any]:
        """Return the predicted label and its score; both None where there is no text."""
        return {"label": None, "score": None} if self.label is None else self.scores()[0]


async def answer(request: Request, texts: Sequence[str], blank_is_error: bool = True) -> list[Answer]:
    """Return the answers to the texts of a request.

    Args:
        request: whose body has been read.
        texts: as the body gave them.
        blank_is_error: whether a text of white space only is an error, or gets an empty answer.

    Raises:
        ServingError: by its subclasses: a limit, a full queue, an unusable text, a failed batch, a client that left.
    """
    service = service_of(request)
    check_texts(request, texts, blank_is_error)
    indices = [index for index, text in enumerate(texts) if text.strip()]
    future = service.batcher.submit([texts[index] for index in indices])
    scores = await or_disconnect(request, asyncio.wrap_future(future))
    return _answers(service.classifier, len(texts), indices, scores)


def check_texts(request: Request, texts: Sequence[str], blank_is_error: bool = True) -> None:
    """Raise a ServingError for a text that cannot be labeled, or too many; note their number for the access log."""
    service_of(request).limits.check(texts)
    request.scope["n_texts"] = len(texts)
    for index, text in enumerate(texts):
        if "\0" in text:
            raise InvalidRequestError(f"text {index} holds a NUL character")
        if blank_is_error and not text.strip():
            raise InvalidRequestError(f"text {index} is empty")


async def in_worker(request: Request, n_texts: int, function: Callable[[], Result]) -> Result:
    """Return what `function` returns in a worker; it occupies one slot of the queue for each text."""
    return await or_disconnect(request, asyncio.wrap_future(service_of(request).batcher.submit_call(function, n_texts)))


def _answers(
    classifier: SentimentClassifier, n_texts: int, indices: Sequence[int], scores: NDArray[np.float32]
) -> list[Answer]:
    negative, positive = classifier.labels
    answers = [Answer(None, None, None)] * n_texts
    is_positive = scores >= np.float32(classifier.threshold)
    for index, probability, positive_here in zip(indices, scores.tolist(), is_positive.tolist(), strict=True):
        labels = (positive, negative) if positive_here else (negative, positive)
        answers[index] = Answer(labels[0], probability, labels[1], positive_here)
    return answers


async def or_disconnect(request: Request, result: Awaitable[Result]) -> Result:
    """Return the result, or cancel it and raise ClientDisconnectedError when the client hangs up before."""
    pending = asyncio.ensure_future(result)
    # what comes after the body is the end of the connection
    hung_up = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait({pending, hung_up}, return_when=asyncio.FIRST_COMPLETED)
        if not pending.done():
            raise ClientDisconnectedError("the client disconnected")
        return pending.result()
    finally:
        pending.cancel()
        hung_up.cancel()
