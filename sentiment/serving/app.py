"""The application: all routes around one queue and one model.

    app = create_app(partial(SentimentClassifier.load, "models/classifier"), Options())

`sentiment serve` runs it; any ASGI server can, with one worker process for each model.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from sentiment.serving import explain, huggingface, open_inference, page, replies, sagemaker, tei
from sentiment.serving.access_log import AccessLog
from sentiment.serving.batcher import Batcher
from sentiment.serving.direct import DirectRoutes, direct_endpoints
from sentiment.serving.errors import ServingError
from sentiment.serving.limits import Limits
from sentiment.serving.metrics import Metrics
from sentiment.serving.middleware import Admission, Auth, Observer
from sentiment.serving.model import ServedModel
from sentiment.serving.model_process import Load
from sentiment.serving.openapi import document
from sentiment.serving.service import Service

# without a key: what a load balancer asks, and pages that hold nothing of the classifier
OPEN_PATHS = ("/health", "/ping", "/v2/health/live", "/v2/health/ready", "/openapi.json", *page.PATHS)


@dataclass
class Options:
    """How to serve.

    Attributes:
        limits: of requests.
        batch_tokens: tokens of a batch; None for what suits the device.
        api_key: that clients must send; None where none is asked for.
        about: what the classifier is, shown on the page and by /info.
        draining: set when the server stops; then each answer closes its connection.
    """

    limits: Limits = field(default_factory=Limits)
    batch_tokens: int | None = None
    api_key: str | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    draining: bool = False


def create_app(load: Load, options: Options) -> FastAPI:
    """Return the application; its workers run between startup and shutdown.

    Args:
        load: loads the classifier, here and in the processes of busy workers; pickled for these.
        options: how to serve.
    """
    classifier = load()
    model = ServedModel(classifier, options.batch_tokens, load)
    model.score(model.tokenize(["warm up"]))  # the first pass allocates, and so fails now or never

    access_log = AccessLog()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        batcher = Batcher(model, options.limits.queue_texts)
        app.state.service = Service(classifier, batcher, options.limits, options.about, options.api_key)
        yield
        await run_in_threadpool(batcher.close)
        access_log.flush()

    app = FastAPI(
        title="sentiment",
        description="Sentiment of product reviews, in four API shapes.",
        version=version("frozen-albert-sentiment"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.metrics = Metrics()
    routers = [module.router for module in (tei, huggingface, sagemaker, open_inference, explain, page)]
    for router in routers:
        app.include_router(router)
    app.add_exception_handler(ServingError, replies.on_serving_error)
    app.add_exception_handler(HTTPException, replies.on_http_error)
    app.add_exception_handler(Exception, replies.on_defect)
    content = document(app, OPEN_PATHS, options.api_key is not None)
    app.openapi = lambda: content  # type: ignore[method-assign]
    paths = [path for path, operations in content["paths"].items() if "post" in operations]
    app.add_middleware(DirectRoutes, endpoints=direct_endpoints(routers))  # each following one is around the last
    app.add_middleware(Admission, paths=paths, check=lambda: app.state.service.batcher.check_capacity(1))
    if options.api_key is not None:
        app.add_middleware(Auth, key=options.api_key, open_paths=OPEN_PATHS)
    app.add_middleware(Observer, metrics=app.state.metrics, access_log=access_log, is_draining=lambda: options.draining)
    return app
