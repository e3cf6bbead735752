"""Prints SHA-256 sums of a training and its metrics, and of a plain float32 product, for the processor it runs on.

python -m tests.numerics.hashes
"""

import hashlib
import json
from dataclasses import replace
from typing import Any

import numpy as np

from sentiment.encoder.config import EncoderConfig, FeatureMetadata
from sentiment.evaluation.curves import calibration_curve, precision_recall_points, rank_counts, roc_points
from sentiment.evaluation.metrics import Predictions, compute_metrics, metrics_by_slice
from sentiment.evaluation.significance import compare_paired
from sentiment.head.classifier import Classifier, ClassifierConfig
from sentiment.head.epoch_log import EpochMetrics
from sentiment.head.features import LabeledFeatures
from sentiment.head.words import Tokens
from stages.train import Params, solve, train

DIM = 96
ENCODER = EncoderConfig(max_length=20, pooling="mean", precision="auto")
CONFIG = ClassifierConfig(
    features=FeatureMetadata(config=ENCODER, fingerprint="f", dim=DIM, text_columns=("body",)), threshold=0.5
)
SETTINGS: list[dict[str, Any]] = [
    {
        "solver": "lbfgs",
        "class_weight": "none",
        "head_layers": 1,
        "dropout": 0.0,
        "weight_decay": 0.0,
        "l2": "auto",
        "threshold": "best_f1",
        "calibration": "temperature",
        "abstain_precision": 0.55,
    },
    {
        "solver": "lbfgs",
        "words": True,
        "class_weight": "balanced",
        "head_layers": 1,
        "dropout": 0.0,
        "weight_decay": 0.0,
        "l2": "auto",
        "threshold": 0.5,
    },
    {
        "solver": "adam",
        "class_weight": "none",
        "head_layers": 1,
        "dropout": 0.0,
        "weight_decay": 0.0,
        "l2": 0.2,
        "threshold": 0.5,
    },
    {
        "solver": "adam",
        "class_weight": "balanced",
        "head_layers": 3,
        "dropout": 0.3,
        "weight_decay": 0.1,
        "l2": 0.0,
        "threshold": "recall@0.9",
    },
]


def make_split(n: int, seed: int) -> LabeledFeatures:
    """Features with large means and unequal spreads, and noisy labels."""
    rng = np.random.default_rng(seed)
    features = rng.random((n, DIM), np.float32) * np.linspace(0.1, 9, DIM, dtype=np.float32) + np.float32(3)
    signal = features[:, 0] * 8 + rng.random(n)
    tokens = Tokens.of([(rng.zipf(1.4, rng.integers(1, 60)) % 500).tolist() for _ in range(n)])
    return LabeledFeatures(features, (signal > np.sort(signal)[n // 3]).astype(np.float64), tokens)


def results(settings: dict[str, Any]) -> dict[str, object]:
    """Train, score and compare; everything that the stages write, as text or bytes."""
    params = Params(seed=0, hidden_size=48, learning_rate=0.003, epochs=3, batch_size=16, **settings)
    epochs: list[EpochMetrics] = []
    sizes = 1_500, 300, 400
    splits = [make_split(n, seed) for seed, n in enumerate(sizes)]
    train_split, val_split, test = splits if params.words else [replace(one, tokens=None) for one in splits]
    if params.solver == "lbfgs":
        classifier = solve(train_split, val_split, params, CONFIG, lambda: None, epochs.append)
    else:
        classifier = train(train_split, val_split, params, CONFIG, epochs.append)
    probabilities, labels = classifier.predict_proba(test.features, test.tokens), test.labels.astype(np.int8)
    ranking = rank_counts(labels, probabilities)
    predicted = (probabilities >= np.float32(0.5)).astype(np.int8)
    others = Predictions(1 - probabilities, 1 - predicted)
    return {
        "weights": parameters(classifier),
        "config": classifier.config.model_dump_json(),
        "epochs": repr(epochs),
        "probabilities": probabilities.tobytes().hex(),
        "metrics": json.dumps(compute_metrics(labels, predicted, probabilities, 10, 500, 0)),
        "curves": repr((roc_points(ranking), precision_recall_points(ranking))),
        "calibration": json.dumps(list(calibration_curve(labels, probabilities, 10))),
        "slices": json.dumps(
            list(
                metrics_by_slice(labels, predicted, probabilities, 10, 500, 0, {"s": (labels + predicted).astype(str)})
            )
        ),
        "comparison": repr(compare_paired(labels, Predictions(probabilities, predicted), others, 200, 0)),
    }


def parameters(classifier: Classifier) -> str:
    """Return mean, std, layers and words as hexadecimal text."""
    arrays = [classifier.mean, classifier.std, *(array for layer in classifier.layers for array in layer)]
    arrays += classifier.words.as_tensors().values() if classifier.words else ()
    return b"".join(np.ascontiguousarray(array).tobytes() for array in arrays).hex()


def plain_products() -> bytes:
    """Return what BLAS and NumPy's SIMD code make of floats that are on no grid."""
    values = np.random.default_rng(0).standard_normal((300, 700), np.float32)
    return b"".join([(values @ values.T).tobytes(), np.exp(values).tobytes(), values.sum(axis=1).tobytes()])


def main() -> None:
    """Print one JSON object of hashes."""
    hashes = {
        f"{name}, {settings['solver']}, {settings['head_layers']} layers, words {'words' in settings}": hashlib.sha256(
            str(value).encode()
        ).hexdigest()
        for settings in SETTINGS
        for name, value in results(settings).items()
    }
    print(json.dumps({"exact": hashes, "plain": hashlib.sha256(plain_products()).hexdigest()}))  # noqa: T201


if __name__ == "__main__":
    main()
