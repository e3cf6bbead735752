"""Apply the trained head to features, and name the label by thresholds on the probability of "positive".

A classifier is a folder with head.safetensors and config.json, nothing pickled.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from sentiment.common.errors import ClassifierError, one_line
from sentiment.common.files import atomic, atomic_folder, write_text
from sentiment.common.params import StageParams
from sentiment.common.tables import LABELS
from sentiment.encoder.config import FeatureMetadata, check_weights, copy_files
from sentiment.head.features import chunks, standardize
from sentiment.head.mlp import Layers, forward, round_weights
from sentiment.head.words import Tokens, Words
from sentiment.numerics.arrays import sigmoid

HEAD, CONFIG = "head.safetensors", "config.json"
FOLDS = "folds"  # folder in the classifier's with the classifiers of cross-validation, named 0, 1, ...
ENCODER = "encoder"  # folder in the classifier's with a copy of its encoder


class ClassifierConfig(StageParams):
    """config.json of a classifier: all that is needed to label a text, besides the weights.

    Attributes:
        features: how the features of a text are computed.
        threshold: a probability of at least this is "positive".
        unsure: probabilities from the first on and below the second are "unsure"; null where every text gets a label.
        temperature: by which the logits of the trained head were divided; the saved weights are the quotients.
        labels: names of the labels 0 and 1.
        head_sha256: of head.safetensors; null before the classifier is saved.
        n_ngrams: that count beside the features; left out where there are none.
    """

    features: FeatureMetadata
    threshold: float = Field(gt=0, lt=1)
    unsure: tuple[float, float] | None = None
    temperature: float = Field(default=1.0, gt=0)
    labels: tuple[Literal["negative"], Literal["positive"]] = LABELS
    head_sha256: str | None = None
    n_ngrams: int = Field(default=0, ge=0, exclude_if=lambda n: n == 0)


@dataclass(frozen=True)
class Classifier:
    """A head on standardized features: linear layers with ReLU between them, and words beside them.

    Attributes:
        mean, std: of the training features, shape (dim,).
        layers: weight of shape (outputs, inputs) and bias of shape (outputs,) of each layer, float64; the last has 1
            output.
        words: whose logits are added to those of the layers; None where words do not count.
    """

    config: ClassifierConfig
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    layers: Layers
    words: Words | None = None

    def predict_proba(self, features: NDArray[np.float32], tokens: Tokens | None = None) -> NDArray[np.float32]:
        """Return the probability of "positive", float32, shape (n_samples,), for features of shape (n_samples, dim).

        It has the same bits on every processor, and alone or among other samples. NaN for features that are not finite.

        Args:
            tokens: of the samples' whole texts; needed where words count, and not read elsewhere.

        Raises:
            ClassifierError: as `logits`.
        """
        probabilities = np.empty(len(features), np.float32)
        start = 0
        for logits in self._logits(features, tokens):
            probabilities[start : start + len(logits)] = sigmoid(logits)
            start += len(logits)
        return probabilities

    def logits(self, features: NDArray[np.float32], tokens: Tokens | None = None) -> NDArray[np.float64]:
        """Return the log-odds of "positive", shape (n_samples,), for features of shape (n_samples, dim).

        Args:
            tokens: as for `predict_proba`.

        Raises:
            ClassifierError: the features have another dimension than the head, or words count and there are no tokens
                of as many texts.
        """
        return np.concatenate([np.empty(0), *self._logits(features, tokens)])

    def _logits(self, features: NDArray[np.float32], tokens: Tokens | None) -> Iterator[NDArray[np.float64]]:
        """Yield the logits of some samples at a time."""
        if features.shape[1] != len(self.mean):
            raise ClassifierError(
                f"features of dimension {features.shape[1]}, but the head was trained on {len(self.mean)}"
            )
        from_words: NDArray[np.float64] | None = None
        if self.words:
            if tokens is None or len(tokens) != len(features):
                raise ClassifierError("words count for this head: it needs the token ids of every text")
            from_words = self.words.logits(tokens)
        layers, start = round_weights(self.layers), 0
        for chunk in chunks(features):
            logits = forward(layers, standardize(chunk, self.mean, self.std).astype(np.float64))
            if from_words is not None:
                logits += from_words[start : start + len(chunk)]
                start += len(chunk)
            logits[~np.isfinite(chunk).all(axis=1)] = np.nan
            yield logits

    def divided(self, temperature: float) -> Self:
        """Return the classifier whose logits are divided by a number, which is in its last layer and its config."""
        *hidden, (weight, bias) = self.layers
        config = self.config.model_copy(update={"temperature": self.config.temperature * temperature})
        layers = *hidden, (weight / temperature, bias / temperature)
        return replace(self, config=config, layers=layers, words=self.words and self.words.divided(temperature))

    def save(self, folder: Path) -> None:
        """Write the two files; equal classifiers give equal bytes."""
        tensors: dict[str, NDArray[Any]] = {"mean": self.mean, "std": self.std}
        for depth, (weight, bias) in enumerate(self.layers):
            tensors |= {f"layers.{depth}.weight": weight, f"layers.{depth}.bias": bias}
        tensors |= self.words.as_tensors() if self.words else {}
        content = save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()})
        with atomic(folder / HEAD) as partial:
            partial.write_bytes(content)
        n_ngrams = len(self.words.weights) if self.words else 0
        config = self.config.model_copy(update={"head_sha256": sha256(content).hexdigest(), "n_ngrams": n_ngrams})
        write_text(folder / CONFIG, config.model_dump_json(indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a saved classifier.

        Raises:
            ClassifierError: the folder is missing, incomplete or damaged.
        """
        try:
            config = ClassifierConfig.model_validate_json((folder / CONFIG).read_bytes())
            content = (folder / HEAD).read_bytes()
            tensors = load(content)
            if sha256(content).hexdigest() != (config.head_sha256 or sha256(content).hexdigest()):
                raise ValueError(f"{HEAD} is not the file whose SHA-256 is in {CONFIG}")
            words = Words.from_tensors(tensors) if config.n_ngrams else None
            n_others = 2 if words is None else 5
            layers = tuple(
                (tensors[f"layers.{depth}.weight"], tensors[f"layers.{depth}.bias"])
                for depth in range(max(1, (len(tensors) - n_others) // 2))
            )
            classifier = cls(config, tensors["mean"], tensors["std"], layers, words)
            classifier.check()
        except FileNotFoundError as error:
            raise ClassifierError(f"{error.filename or folder}: no classifier; run `dvc repro` or `dvc pull`") from None
        except (SafetensorError, KeyError, ValueError) as error:
            if isinstance(error, ValidationError) and any(one["type"] == "extra_forbidden" for one in error.errors()):
                raise ClassifierError(
                    f"{folder}: a classifier of another version of this project, whose own code reads it; `dvc repro` "
                    "trains one that this version reads"
                ) from None
            advice = "run `dvc checkout --force`, or `dvc repro --force train`"
            raise ClassifierError(f"{folder}: damaged classifier ({one_line(error)}); {advice}") from None
        return classifier

    def check(self) -> None:
        """Raise ValueError where an array has another type or shape than its neighbors need, or is not finite."""
        n_inputs = self.config.features.dim
        expected: dict[str, tuple[NDArray[Any], type[np.floating], tuple[int, ...]]] = {
            "mean": (self.mean, np.float32, (n_inputs,)),
            "std": (self.std, np.float32, (n_inputs,)),
        }
        for depth, (weight, bias) in enumerate(self.layers):
            n_outputs = 1 if depth == len(self.layers) - 1 else len(bias)
            expected[f"layers.{depth}.weight"] = weight, np.float64, (n_outputs, n_inputs)
            expected[f"layers.{depth}.bias"] = bias, np.float64, (n_outputs,)
            n_inputs = n_outputs
        for name, (array, dtype, shape) in expected.items():
            if array.dtype != dtype or array.shape != shape:
                raise ValueError(f"{name} is {array.dtype} of shape {array.shape}, expected {dtype.__name__} {shape}")
            if not np.isfinite(array).all():
                raise ValueError(f"{name} holds a NaN or an infinity")
        if not (self.std > 0).all():
            raise ValueError("std holds a number that is not above 0")
        if self.words:
            self.words.check(self.config.n_ngrams)


def copy_encoder(encoder: Path, classifier: Path) -> None:
    """Copy an encoder's config, weights and tokenizer into the classifier's folder, so that it works elsewhere.

    Raises:
        EncoderError: the encoder's folder is missing or incomplete.
    """
    check_weights(encoder)
    with atomic_folder(classifier / ENCODER) as partial:
        copy_files(encoder, partial)


def predict_labels(probabilities: NDArray[np.float32], threshold: float) -> NDArray[np.int8]:
    """Return 1 for each probability of at least `threshold`, else 0; 0 for NaN. # (n_samples,)

    Compared as float32 everywhere, so that a probability on the threshold has one label.
    """
    return (probabilities >= np.float32(threshold)).astype(np.int8)


def is_unsure(probabilities: NDArray[np.float32], unsure: tuple[float, float] | None) -> NDArray[np.bool_]:
    """Return whether each probability is from the first bound on and below the second. # (n_samples,)"""
    low, high = unsure or (0.0, 0.0)
    return (probabilities >= np.float32(low)) & (probabilities < np.float32(high))
