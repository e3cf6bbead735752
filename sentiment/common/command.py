"""Runs the `main` of a command: logging, one-line errors, exit status."""

import logging
import sys
from collections.abc import Callable

from sentiment.common.errors import PipelineError

log = logging.getLogger(__name__)


def run_main(main: Callable[[], int | None]) -> None:
    """Run `main` and exit; errors that a person can fix are shown as one line on standard error.

    Disk errors (full, read-only, not permitted) are among them. Anything else is a defect of this project and keeps
    its traceback.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for library in ("transformers", "huggingface_hub", "httpx", "botocore", "dvclive"):
        logging.getLogger(library).setLevel(logging.ERROR)
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
