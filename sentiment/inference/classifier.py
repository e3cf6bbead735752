"""Sentiment: a trained classifier and its encoder, for other programs and for `sentiment.cli.predict`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from sentiment.head.classifier import Classifier
from sentiment.features.config import Device, EncoderSpec
from sentiment.common.errors import ClassifierError, EncoderError
from sentiment.data.text import join_text

if TYPE_CHECKING:
    from sentiment.encoder.frozen import FrozenEncoder


class Sentiment:
    """Probabilities that texts are positive, by a saved classifier; see `load` and `probabilities`."""

    def __init__(self, classifier: Classifier, encoder: "FrozenEncoder") -> None:
        self.classifier = classifier
        self.encoder = encoder

    @classmethod
    def load(cls, folder: str | Path, device: Device = "auto") -> Self:
        """Load the classifier in `folder`, and the encoder that its config.json names.

        A local encoder is looked for beside the classifier, in each folder above it, and then here.

        Raises:
            ClassifierError: the classifier is missing or damaged; or its encoder is not there, is damaged, has other
                weights than in training, or gives vectors of another width than the head takes.
        """
        classifier = Classifier.load(Path(folder))
        trained_on = classifier.config.features
        encoder = load_encoder(Path(folder), trained_on.spec, device)
        name = f"{folder}: its encoder '{trained_on.spec.encoder}'"
        widths = {trained_on.width, len(classifier.mean), classifier.layers[0][0].shape[1]}
        if widths != {encoder.width}:
            takes = " or ".join(str(width) for width in sorted(widths - {encoder.width}))
            raise ClassifierError(f"{name} gives {encoder.width} numbers a text, but the head takes {takes}; {RETRAIN}")
        if encoder.fingerprint != trained_on.fingerprint:
            found, expected = encoder.fingerprint[:12], trained_on.fingerprint[:12]
            raise ClassifierError(f"{name} has weights {found}, but the head was trained on {expected}; {RETRAIN}")
        return cls(classifier, encoder)

    def probabilities(
        self, texts: Sequence[str], on_batch: Callable[[int], object] | None = None
    ) -> NDArray[np.float32]:
        """Return the probability of "positive" for each text, float32 from 0 to 1, shape (texts,).

        A text of white space only has no sentiment: its probability is NaN. The answer for a text does not depend on
        the others beside it by more than rounding (1e-4).

        Args:
            texts: any number of texts, each as `sentiment.data.text.join_text` joins title and body.
            on_batch: called with the number of texts done, after each batch.

        Raises:
            TypeError: one string instead of a sequence of them, or something in it that is no string.
            ClassifierError: the encoder gave numbers that are not finite.
        """
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise TypeError("texts must be a sequence of strings")
        stripped = [join_text([text]) for text in texts]
        places = [place for place, text in enumerate(stripped) if text]
        probabilities = np.full(len(texts), np.nan, dtype=np.float32)
        features = self.encoder.encode([stripped[place] for place in places], on_batch)
        probabilities[places] = found = self.classifier.probabilities(features)
        if not np.isfinite(found).all():
            raise ClassifierError("the encoder gave numbers that are not finite; train with encode.precision=float32")
        return probabilities


RETRAIN = "check out the encoder it was trained on, or run `dvc repro`"


def load_encoder(classifier: Path, spec: EncoderSpec, device: Device) -> "FrozenEncoder":
    """Load the encoder of a classifier's spec; raises ClassifierError where that fails."""
    from sentiment.encoder.frozen import FrozenEncoder  # torch, most of the start: not before it is needed

    folder = encoder_folder(classifier, spec.encoder)
    if folder is None and spec.revision is None:
        raise ClassifierError(
            f"{classifier}: its encoder '{spec.encoder}' is not there; check it out (git or `dvc pull`), or run "
            "where that folder is"
        )
    try:
        return FrozenEncoder.load(spec.model_copy(update={"encoder": str(folder or spec.encoder)}), device)
    except EncoderError as error:
        raise ClassifierError(f"{classifier}: its encoder: {error}") from None


def encoder_folder(classifier: Path, encoder: str) -> Path | None:
    """Return the local folder of an encoder, or None where `encoder` is a Hugging Face id."""
    roots = [*classifier.resolve().parents, Path()]
    return next((root / encoder for root in roots if (root / encoder).is_dir()), None)
