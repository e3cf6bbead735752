"""Errors that a person can fix: raised by name, shown as one line by `run_main`, exit status 1."""


class PipelineError(Exception):
    """Something that a person can fix; the message says what was found and what was expected."""


class InputError(PipelineError):
    """Input data that cannot be trusted: names the file, the row or column, and what was expected."""


class ParamsError(PipelineError):
    """A key of params.yaml that is unknown, missing, mistyped or out of range, by its full name."""


class EncoderError(PipelineError):
    """An encoder that is missing, damaged, or does not fit its settings."""


class ClassifierError(PipelineError):
    """A trained classifier that is missing, damaged, or does not fit its features."""


class StorageError(PipelineError):
    """Storage that cannot be reached, read or written: names the address and its answer."""


def one_line(error: BaseException) -> str:
    """Return the message of an exception as one line; its class name where it has no message."""
    return " ".join(str(error).split()) or type(error).__name__
