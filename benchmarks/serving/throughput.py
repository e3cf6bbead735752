"""Requests a second of this server, beside `sentiment predict` and a plain handler on the same texts, in pairs."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.serving.processes import plain_server, predict_seconds, server
from benchmarks.serving.wrk import Load, run_wrk

CONNECTIONS = 32
WARM_UP_SECONDS = 8  # after it, busy workers are in processes of their own
TARGETS = {"predict": 0.8, "plain handler": 3.0}  # least ratio of this server to each


@dataclass(frozen=True)
class Round:
    """One measurement of each, right after each other.

    Attributes:
        server, plain: the loads on the servers.
        predict: rows a second of `sentiment predict`.
    """

    server: Load
    plain: Load
    predict: float

    @property
    def ratios(self) -> dict[str, float]:
        """This server's requests a second by those of the others."""
        return {
            "predict": self.server.per_second / self.predict,
            "plain handler": self.server.per_second / self.plain.per_second,
        }


def measure(classifier: Path, texts: Sequence[str], rounds: int, seconds: float) -> Iterator[Round]:
    """Yield `rounds` measurements; under load for `seconds` each, both servers idle while the other is measured."""
    with ExitStack() as stack:
        url, _ = stack.enter_context(server(classifier))
        plain = stack.enter_context(plain_server(classifier))
        for address in (url, plain):
            run_wrk(f"{address}/predict", texts, CONNECTIONS, WARM_UP_SECONDS)
        for _ in range(rounds):
            before = run_wrk(f"{url}/predict", texts, CONNECTIONS, seconds)
            predict = len(texts) / predict_seconds(classifier, texts)
            yield Round(before, run_wrk(f"{plain}/predict", texts, CONNECTIONS, seconds), predict)


def rows(measured: Sequence[Round]) -> Iterator[dict[str, object]]:
    """Yield a row of the table for each implementation: medians over the rounds."""
    for name in ("server", "plain"):
        loads: list[Load] = [getattr(one, name) for one in measured]
        yield {
            "": "this server" if name == "server" else "plain FastAPI handler around `pipeline`",
            "texts a second": median(load.per_second for load in loads),
            "p50 ms": median(load.p50_ms for load in loads),
            "p99 ms": median(load.p99_ms for load in loads),
            "errors": sum(load.n_errors for load in loads),
            "ratio of this server": 1.0
            if name == "server"
            else median(one.ratios["plain handler"] for one in measured),
        }
    yield {
        "": "`sentiment predict`",
        "texts a second": median(one.predict for one in measured),
        "p50 ms": "-",
        "p99 ms": "-",
        "errors": 0,
        "ratio of this server": median(one.ratios["predict"] for one in measured),
    }
