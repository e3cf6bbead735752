"""Serve a classifier with LitServe or with Ray Serve, each with its own dynamic batching, to compare with `serve`.

    pip install litserve 'ray[serve]'
    python -m benchmarks.servers litserve --port 8081

One worker or replica with all cores, as this project's server has them; the answers are the same JSON. requests.lua
sends reviews to either.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import torch

from sentiment.common.errors import InputError
from sentiment.inference.classifier import SentimentClassifier

try:
    from litserve import LitAPI
except ModuleNotFoundError:  # Ray Serve needs none
    LitAPI = object

MAX_BATCH, BATCH_SECONDS = 64, 0.005  # texts that share a batch, and how long the first one waits for others


def label_texts(classifier: SentimentClassifier, texts: list[str]) -> list[list[dict[str, Any]]]:
    """Return label and score of both labels of each text, as POST /predict does for one text."""
    negative, positive = classifier.labels
    answers = []
    for probability in classifier.predict_proba(texts).tolist():
        scores = [{"label": positive, "score": probability}, {"label": negative, "score": 1.0 - probability}]
        answers.append(scores if probability >= classifier.threshold else scores[::-1])
    return answers


class Api(LitAPI):  # type: ignore[misc]
    """LitServe's API of one text a request; its worker is a process that gets a pickle of it."""

    folder = Path()

    def setup(self, device: str) -> None:
        """Load the classifier in the worker."""
        self.classifier = SentimentClassifier.load(self.folder, "cpu")

    def decode_request(self, request: dict[str, str]) -> str:
        """Return the text."""
        return request["inputs"]

    def predict(self, texts: list[str]) -> list[list[dict[str, Any]]]:
        """Return the answers to the texts that share a batch."""
        return label_texts(self.classifier, texts)

    def encode_response(self, output: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the answer to one text."""
        return output


def serve_with_litserve(folder: Path, port: int) -> None:
    """Serve until ended."""
    import litserve

    api = Api(max_batch_size=MAX_BATCH, batch_timeout=BATCH_SECONDS, api_path="/predict")
    api.folder = folder
    server = litserve.LitServer(api, accelerator="cpu", devices=1, workers_per_device=1)
    server.run(host="127.0.0.1", port=port, num_api_servers=1, generate_client_file=False, log_level="error")


def serve_with_ray(folder: Path, port: int) -> None:
    """Serve until ended."""
    import ray
    from ray import serve
    from starlette.requests import Request

    n_threads = torch.get_num_threads()

    @serve.deployment(ray_actor_options={"num_cpus": n_threads}, max_ongoing_requests=500)
    class Api:
        """One text a request."""

        def __init__(self) -> None:
            self.classifier = SentimentClassifier.load(folder, "cpu")

        @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=BATCH_SECONDS)
        async def label(self, texts: list[str]) -> list[list[dict[str, Any]]]:
            return label_texts(self.classifier, texts)

        async def __call__(self, request: Request) -> Any:
            return await self.label((await request.json())["inputs"])

    ray.init(num_cpus=n_threads, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    api: Any = Api  # the decorator made it a deployment
    serve.run(api.bind(), route_prefix="/predict")
    while True:
        time.sleep(60)


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", choices=["litserve", "ray"])
    parser.add_argument("--classifier", type=Path, default=Path("models/classifier"), help="(default: %(default)s)")
    parser.add_argument("--port", type=int, required=True)
    args = parser.parse_args()
    try:
        (serve_with_litserve if args.engine == "litserve" else serve_with_ray)(args.classifier.resolve(), args.port)
    except ModuleNotFoundError as error:
        raise InputError(f"{error.name} is not installed: pip install litserve 'ray[serve]'") from None


if __name__ == "__main__":
    main()
