"""Errors that a client gets: an HTTP status, the type that text-embeddings-inference gives it, and a message."""

from collections.abc import Mapping


class ServingError(Exception):
    """An answer other than 200; the message is one line for the person who wrote the client.

    Attributes:
        status: of the HTTP response.
        error_type: as text-embeddings-inference names it.
        headers: that the response gets besides its own.
    """

    status = 500
    error_type = "Backend"
    headers: Mapping[str, str] = {}


class InvalidRequestError(ServingError):
    """A body that is not what the API document describes."""

    status, error_type = 422, "Validation"


class UnauthorizedError(ServingError):
    """A request without the key, or with another."""

    status, error_type = 401, "Unauthorized"
    headers = {"WWW-Authenticate": "Bearer"}  # noqa: RUF012 - never changed


class SlowBodyError(ServingError):
    """A body that did not arrive in time; the connection is closed."""

    status, error_type = 408, "Validation"
    headers = {"Connection": "close"}  # noqa: RUF012 - never changed


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
    """The queue is full; the same request is welcome a second later."""

    status, error_type = 429, "Overloaded"
    headers = {"Retry-After": "1"}  # noqa: RUF012 - never changed


class ClientDisconnectedError(ServingError):
    """The client hung up before its answer; nobody reads this status but the access log."""

    status, error_type = 499, "Validation"


class ShuttingDownError(ServingError):
    """The server has been asked to stop, or a worker has ended."""

    status, error_type = 503, "Unhealthy"
    headers = {"Retry-After": "5"}  # noqa: RUF012 - never changed
