"""One line a check: ok, a note, or what is broken and what to do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from botocore.exceptions import BotoCoreError, ClientError

from sentiment.common.errors import PipelineError
from storage.faults import explain

Status = Literal["ok", "note", "FAIL"]


@dataclass(frozen=True)
class Line:
    """What one check found.

    Attributes:
        status: "FAIL" when the pipeline cannot work so, "note" when it can.
        check: the name of the check.
        text: what was found, and for a failure what to do.
    """

    status: Status
    check: str
    text: str

    def __str__(self) -> str:
        return f"{self.status:<4}  {self.check:<8}  {self.text}"


def attempt(check: str, work: Callable[[], tuple[Status, str]]) -> Line:
    """Do one check; an error that a person can mend becomes its line."""
    try:
        status, text = work()
    except (BotoCoreError, ClientError) as error:
        return Line("FAIL", check, explain(error))
    except PipelineError as error:
        return Line("FAIL", check, str(error))
    except OSError as error:
        return Line("FAIL", check, f"{error.filename or ''}: {error.strerror or error}".removeprefix(": "))
    return Line(status, check, text)


def until_failure(checks: list[tuple[str, Callable[[], tuple[Status, str]]]]) -> Iterator[Line]:
    """Yield the lines of checks that build on each other; after a failure the rest would only repeat it."""
    for name, work in checks:
        line = attempt(name, work)
        yield line
        if line.status == "FAIL":
            return
