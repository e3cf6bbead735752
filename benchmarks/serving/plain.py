"""The server that one would write first: a FastAPI handler around transformers' `pipeline`, one text at a time.

    python -m benchmarks.serving.plain --classifier models/classifier --port 8081

Same weights, same pooling, same head as this project's server; float32, as transformers computes by default.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline

from sentiment.head.classifier import ENCODER, Classifier


class Body(BaseModel):
    """A request."""

    inputs: str


def create_app(folder: Path) -> FastAPI:
    """Return an application with the one path POST /predict."""
    classifier = Classifier.load(folder)
    config = classifier.config.features.config
    extract = pipeline("feature-extraction", model=str(folder / ENCODER), device="cpu", dtype=torch.float32)
    truncated = {"truncation": True, "max_length": config.max_length}
    negative, positive = classifier.config.labels
    app = FastAPI()

    @app.post("/predict")
    def predict(body: Body) -> list[dict[str, str | float]]:
        tokens = extract(body.inputs, return_tensors=True, tokenize_kwargs=truncated)[0]  # (n_tokens, hidden_size)
        pooled = [tokens.mean(0)] if "mean" in config.pooling else []
        pooled += [tokens.amax(0)] if "max" in config.pooling else []
        features = torch.cat(pooled or [tokens[0]]).numpy()[None]
        probability = float(classifier.predict_proba(features.astype(np.float32))[0])
        by_label: dict[str, float] = {positive: probability, negative: 1 - probability}
        labels = sorted(by_label, key=lambda label: -by_label[label])
        return [{"label": label, "score": by_label[label]} for label in labels]

    return app


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classifier", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    args = parser.parse_args()
    uvicorn.run(create_app(args.classifier), port=args.port, log_level="warning")


if __name__ == "__main__":
    main()
