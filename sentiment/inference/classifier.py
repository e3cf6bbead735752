"""SentimentClassifier: texts to probabilities and labels, by a saved classifier and its encoder."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from sentiment.common.errors import ClassifierError, EncoderError
from sentiment.data.text import join_text
from sentiment.features.config import Device, EncoderConfig
from sentiment.head.classifier import Classifier

if TYPE_CHECKING:
    from sentiment.encoder.frozen import FrozenEncoder


class SentimentClassifier:
    """A saved classifier and its encoder, for texts.

    >>> classifier = SentimentClassifier.load("models/classifier")
    >>> classifier.predict(["Soft, warm, and the color is lovely", "The seams came loose after one wash"])
    ['positive', 'negative']
    """

    def __init__(self, classifier: Classifier, encoder: "FrozenEncoder") -> None:
        self.classifier = classifier
        self.encoder = encoder

    @property
    def threshold(self) -> float:
        """Probability from which a text is positive."""
        return self.classifier.config.threshold

    @property
    def labels(self) -> tuple[str, str]:
        """Names of the negative and the positive label."""
        return self.classifier.config.labels

    @classmethod
    def load(cls, folder: str | Path, device: Device = "auto") -> Self:
        """Load the classifier in `folder`, and the encoder that its config.json names.

        A local encoder is searched for beside the classifier, in each folder above it, and in the current folder.

        Raises:
            ClassifierError: the classifier is missing or damaged; or its encoder is missing, damaged, has other
                weights than in training, or gives features of another dimension than the head takes.
        """
        classifier = Classifier.load(Path(folder))
        trained_on = classifier.config.features
        encoder = load_encoder(Path(folder), trained_on.config, device)
        name = f"{folder}: its encoder '{trained_on.config.encoder}'"
        dims = {trained_on.dim, len(classifier.mean), classifier.layers[0][0].shape[1]}
        if dims != {encoder.dim}:
            takes = " or ".join(str(dim) for dim in sorted(dims - {encoder.dim}))
            raise ClassifierError(
                f"{name} gives {encoder.dim}-dimensional features, but the head takes {takes}; {RETRAIN}"
            )
        if encoder.fingerprint != trained_on.fingerprint:
            found, expected = encoder.fingerprint[:12], trained_on.fingerprint[:12]
            raise ClassifierError(f"{name} has fingerprint {found}, but the head was trained on {expected}; {RETRAIN}")
        return cls(classifier, encoder)

    def predict_proba(
        self, texts: Sequence[str], on_batch: Callable[[int], object] | None = None
    ) -> NDArray[np.float32]:
        """Return the probability of "positive" for each text, float32 from 0 to 1, shape (n_texts,).

        The probability of a text of white space only is NaN.

        >>> SentimentClassifier.load("models/classifier").predict_proba(["Soft and warm"]).shape
        (1,)

        Args:
            texts: any number of texts, each as `sentiment.data.text.join_text` joins title and body.
            on_batch: called with the number of texts done, after each batch.

        Raises:
            TypeError: one string instead of a sequence of them, or an element that is not a string.
            ClassifierError: the encoder's features are not finite.
        """
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise TypeError("texts must be a sequence of strings")
        stripped = [join_text([text]) for text in texts]
        indices = [index for index, text in enumerate(stripped) if text]
        probabilities = np.full(len(texts), np.nan, dtype=np.float32)
        features = self.encoder.encode([stripped[index] for index in indices], on_batch)
        probabilities[indices] = self.classifier.predict_proba(features)
        if not np.isfinite(probabilities[indices]).all():
            raise ClassifierError("the encoder's features are not finite; train with encode.precision=float32")
        return probabilities

    def predict(self, texts: Sequence[str]) -> list[str | None]:
        """Return the label of each text; None for a text of white space only.

        >>> SentimentClassifier.load("models/classifier").predict(["", "Soft, warm, and the color is lovely"])
        [None, 'positive']
        """
        positive, negative = self.labels[1], self.labels[0]
        probabilities = self.predict_proba(texts)
        is_positive = probabilities >= np.float32(self.threshold)
        pairs = zip(probabilities, is_positive, strict=True)
        return [None if np.isnan(p) else positive if up else negative for p, up in pairs]


RETRAIN = "check out the encoder it was trained on, or run `dvc repro`"


def load_encoder(classifier: Path, config: EncoderConfig, device: Device) -> "FrozenEncoder":
    """Load the encoder of a classifier's config; raises ClassifierError where that fails."""
    from sentiment.encoder.frozen import FrozenEncoder  # torch, most of the start: not before it is needed

    folder = encoder_folder(classifier, config.encoder)
    if folder is None and config.revision is None:
        raise ClassifierError(
            f"{classifier}: its encoder '{config.encoder}' is missing; check it out (git or `dvc pull`), or run "
            "where that folder is"
        )
    try:
        return FrozenEncoder.load(config.model_copy(update={"encoder": str(folder or config.encoder)}), device)
    except EncoderError as error:
        raise ClassifierError(f"{classifier}: its encoder: {error}") from None


def encoder_folder(classifier: Path, encoder: str) -> Path | None:
    """Return the local folder of an encoder, or None where `encoder` is a Hugging Face id."""
    roots = [*classifier.resolve().parents, Path()]
    return next((root / encoder for root in roots if (root / encoder).is_dir()), None)
