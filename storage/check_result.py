"""The result of one check of `make doctor`, as one line: ok, a note, or what is broken and what to do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from botocore.exceptions import BotoCoreError, ClientError

from sentiment.common.errors import PipelineError
from sentiment.storage.errors import explain

Status = Literal["ok", "note", "FAIL"]
Check = Callable[[], tuple[Status, str]]


@dataclass(frozen=True)
class CheckResult:
    """What one check found.

    Attributes:
        status: "FAIL" when the pipeline cannot work like this, "note" when it can.
        check: the name of the check.
        text: what was found, and for a failure what to do.
    """

    status: Status
    check: str
    text: str

    def __str__(self) -> str:
        return f"{self.status:<4}  {self.check:<8}  {self.text}"


def run_check(name: str, check: Check) -> CheckResult:
    """Run one check; an error that a person can fix becomes its line."""
    try:
        status, text = check()
    except (BotoCoreError, ClientError) as error:
        return CheckResult("FAIL", name, explain(error))
    except PipelineError as error:
        return CheckResult("FAIL", name, str(error))
    except OSError as error:
        return CheckResult("FAIL", name, f"{error.filename or ''}: {error.strerror or error}".removeprefix(": "))
    return CheckResult(status, name, text)


def run_until_failure(checks: list[tuple[str, Check]]) -> Iterator[CheckResult]:
    """Yield the results of checks that build on each other; after a failure the rest would only repeat it."""
    for name, check in checks:
        result = run_check(name, check)
        yield result
        if result.status == "FAIL":
            return
