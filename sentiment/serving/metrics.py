"""Counters for Prometheus, by the names that text-embeddings-inference gives them where it has the same."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE

from sentiment.serving.batcher import Batcher

__all__ = ["CONTENT_TYPE", "Metrics"]

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Metrics:
    """The metrics of one application."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "te_request_count", "Requests answered", ["path", "status"], registry=self._registry
        )  # fmt: skip
        self._duration = Histogram(
            "te_request_duration", "Seconds from head to answer", ["path"], buckets=SECONDS, registry=self._registry
        )
        self._texts = Counter("sentiment_texts", "Texts accepted", registry=self._registry)
        self._queue = Gauge("te_queue_size", "Texts that wait or are being computed", registry=self._registry)
        self._batches = Histogram("te_batch_next_size", "Texts in a batch", buckets=TEXTS, registry=self._registry)

    def observe(self, path: str, status: int, seconds: float, n_texts: int) -> None:
        """Count one answered request; `path` is that of the route, so that their number is bounded."""
        self._requests.labels(path, str(status)).inc()
        self._duration.labels(path).observe(seconds)
        if n_texts and status == 200:
            self._texts.inc(n_texts)

    def render(self, batcher: Batcher) -> bytes:
        """Return all metrics in Prometheus' text format."""
        self._queue.set(batcher.n_texts)
        for size in batcher.take_batch_sizes():
            self._batches.observe(size)
        return generate_latest(self._registry)
