"""Errors that people can act on: raised by name, shown as one line, exit status 1."""

import logging
import sys
from collections.abc import Callable

log = logging.getLogger(__name__)


class PipelineError(Exception):
    """Something a person must put right; the message says what was found and what was expected."""


class InputError(PipelineError):
    """Input data that cannot be trusted: names the file, the row or column, and what was expected."""


class SettingsError(PipelineError):
    """A key of params.yaml that is unknown, missing, mistyped or out of range, by its full name."""


class EncoderError(PipelineError):
    """An encoder that is not there, is damaged, or does not fit what was asked of it."""


class ClassifierError(PipelineError):
    """A trained classifier that is not there, is damaged, or does not fit its features."""


class StorageError(PipelineError):
    """Storage that cannot be reached, read or written: names the place and what it answered."""


def run(main: Callable[[], int | None]) -> None:
    """Run `main` and exit; errors that a person can mend come out as one line on standard error.

    Disk errors (full, read-only, not permitted) count among them. Anything else is a defect of ours and
    keeps its traceback.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for chatty in ("transformers", "huggingface_hub", "httpx", "botocore", "dvclive"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    try:
        sys.exit(main())
    except PipelineError as error:
        log.error("error: %s", error)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        log.error("error: %s%s", where, error.strerror or error)
    except KeyboardInterrupt:
        log.error("stopped by Ctrl-C")
        sys.exit(130)
    sys.exit(1)
