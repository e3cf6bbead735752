"""Load a saved classifier with its own encoder, and predict labels of texts with both."""

import math
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from sentiment.common.errors import ClassifierError, EncoderError
from sentiment.common.tables import LABELS, UNSURE
from sentiment.data.text import decode_html
from sentiment.encoder.config import Device
from sentiment.experiments.revisions import CLASSIFIER, classifier_folder
from sentiment.head.classifier import ENCODER, Classifier, is_unsure, predict_labels
from sentiment.head.words import Tokens
from sentiment.inference.explanation import Clause, Explanation, clause_texts, explain

if TYPE_CHECKING:
    from sentiment.encoder.frozen import FrozenEncoder, TokensWithOffsets


def load_trained_on(folder: Path, classifier: Classifier, device: Device) -> "FrozenEncoder":
    """Load the encoder in the folder of a classifier, on which the classifier was trained.

    Raises:
        ClassifierError: the encoder is missing, damaged, differs from the one in training, or gives features of another
            dimension than the head takes.
    """
    from sentiment.encoder.frozen import FrozenEncoder  # torch, most of the start: not before it is needed

    path, trained_on = folder / ENCODER, classifier.config.features
    advice = f"`dvc checkout --force {folder}` or `dvc pull --force {folder}` restores it"
    if not path.is_dir():
        raise ClassifierError(f"{folder}: its encoder is missing; expected {path}, which training writes; {advice}")
    try:
        encoder = FrozenEncoder.load(path, trained_on.config, device)
    except EncoderError as error:
        raise ClassifierError(f"{folder}: its encoder: {error}") from None
    dims = {trained_on.dim, len(classifier.mean), classifier.layers[0][0].shape[1]}
    if dims != {encoder.dim}:
        expected = " or ".join(str(dim) for dim in sorted(dims - {encoder.dim}))
        raise ClassifierError(
            f"{path} gives {encoder.dim}-dimensional features, but the head takes {expected}; {advice}"
        )
    if encoder.fingerprint != trained_on.fingerprint:
        found, expected = encoder.fingerprint[:12], trained_on.fingerprint[:12]
        raise ClassifierError(f"{path} has fingerprint {found}, but the head was trained on {expected}; {advice}")
    return encoder


class SentimentClassifier:
    """A saved classifier and its encoder, for texts.

    Examples:
        >>> classifier = SentimentClassifier.load("models/classifier")
        >>> classifier.predict(["I love this dress, it fits perfectly", "The seams came loose after one wash"])
        ['positive', 'negative']
        >>> classifier.labels
        ('negative', 'positive')
        >>> classifier.threshold
        0.5
    """

    def __init__(self, classifier: Classifier, encoder: "FrozenEncoder") -> None:
        self.classifier = classifier
        self.encoder = encoder

    @property
    def threshold(self) -> float:
        """Probability from which a text is positive."""
        return self.classifier.config.threshold

    @property
    def unsure(self) -> tuple[float, float] | None:
        """Probabilities from the first on and below the second are "unsure"; None where every text gets a label."""
        return self.classifier.config.unsure

    @property
    def labels(self) -> tuple[str, str]:
        """Names of the negative and the positive label."""
        return self.classifier.config.labels

    @classmethod
    def load(cls, folder: str | Path, device: Device = "auto") -> Self:
        """Load a classifier and its encoder from a folder; `device` "auto" prefers CUDA, then MPS.

        Raises:
            ClassifierError: the classifier is missing or damaged; or its encoder is missing, damaged, differs from the
                one in training, or gives features of another dimension than the head takes.
        """
        classifier = Classifier.load(Path(folder))
        return cls(classifier, load_trained_on(Path(folder), classifier, device))

    @classmethod
    def load_revision(cls, rev: str, classifier: Path = CLASSIFIER, device: Device = "auto") -> Self:
        """Load the classifier at path `classifier` of a commit, branch, tag, experiment or, as it is now, "workspace".

        Raises:
            ClassifierError: as `load`.
            InputError: there is no such revision, or its classifier is not available.
        """
        with classifier_folder(rev, classifier) as folder:
            return cls.load(folder, device)

    def clean(self, texts: Sequence[str]) -> list[str]:
        """Return the texts as they are encoded: without white space at their ends, and decoded as those of training.

        Raises:
            TypeError: one string instead of a sequence of them, or an element that is not a string.
        """
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise TypeError("texts must be a sequence of strings")
        decode = decode_html if self.classifier.config.features.decode_html else str
        return [decode(text).strip() for text in texts]

    def predict_proba(
        self, texts: Sequence[str], on_batch: Callable[[int], object] | None = None
    ) -> NDArray[np.float32]:
        """Return the probability of "positive" for each text, float32 from 0 to 1, shape (n_texts,).

        The probability of a text of white space only is NaN.

        Examples:
            >>> SentimentClassifier.load("models/classifier").predict_proba(["Soft and warm"]).shape
            (1,)

        Args:
            texts: any number of texts, each as `sentiment.data.text.join_text` joins title and body.
            on_batch: called with the number of texts done, after each batch.

        Raises:
            TypeError: one string instead of a sequence of them, or an element that is not a string.
            ClassifierError: the encoder's features are not finite.
        """
        stripped = self.clean(texts)
        indices = [index for index, text in enumerate(stripped) if text]
        probabilities = np.full(len(texts), np.nan, dtype=np.float32)
        token_ids, whole_ids = self.tokenize([stripped[index] for index in indices])
        probabilities[indices] = self.score(self.encoder.encode_tokens(token_ids, on_batch), whole_ids)
        return probabilities

    def tokenize(self, texts: Sequence[str]) -> tuple[list[list[int]], list[list[int]]]:
        """Return the token ids of cleaned texts: those that the encoder takes, and those that `score` takes."""
        if self.classifier.words:
            return self.encoder.tokenize_whole(texts)
        token_ids = self.encoder.tokenize(texts)
        return token_ids, token_ids

    def tokenize_with_offsets(self, texts: Sequence[str]) -> "list[TokensWithOffsets]":
        """Return the tokens of cleaned texts: the whole ones where words count, else what the encoder reads."""
        tokens = self.encoder.tokenize_with_offsets(texts)
        return tokens if self.classifier.words else [one.read() for one in tokens]

    def score(self, features: NDArray[np.float32], whole_ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return the probability of "positive" for features of shape (n_texts, dim).

        Args:
            whole_ids: of each text, as `tokenize` returns them; read where words count.

        Raises:
            ClassifierError: the encoder's features are not finite.
        """
        tokens = Tokens.of(whole_ids) if self.classifier.words else None
        probabilities = self.classifier.predict_proba(features, tokens)
        if not np.isfinite(probabilities).all():
            raise ClassifierError("the encoder's features are not finite; train with encode.precision=float32")
        return probabilities

    def predict(self, texts: Sequence[str], threshold: float | None = None) -> list[str | None]:
        """Return the label of each text; None for a text of white space only.

        A classifier with `abstain_precision` answers "unsure" between its two thresholds.

        Examples:
            >>> SentimentClassifier.load("models/classifier").predict(["", "I love this dress, it fits perfectly"])
            [None, 'positive']

        Args:
            texts: as for `predict_proba`.
            threshold: positive from this probability on, and never "unsure"; None for the classifier's.
        """
        return self.label(self.predict_proba(texts), threshold)

    def explain(self, texts: Sequence[str]) -> list[Explanation | None]:
        """Return why each text has its probability, by words; None for a text of white space only.

        Examples:
            >>> [explanation] = SentimentClassifier.load("models/classifier").explain(["Soft and warm"])
            >>> [word.text for word in explanation.words]
            ['Soft', 'and', 'warm']
            >>> words = sum(word.contribution for word in explanation.words)
            >>> abs(explanation.bias + explanation.special_tokens + words - explanation.logit) < 1e-6
            True

        Args:
            texts: as for `predict_proba`.

        Raises:
            TypeError, ClassifierError: as `predict_proba`.
        """
        return explain(self, texts)

    def predict_clauses(self, texts: Sequence[str]) -> list[list[Clause]]:
        """Return the clauses of each text, in order, each labeled as a text of its own.

        Examples:
            >>> classifier = SentimentClassifier.load("models/classifier")
            >>> [clauses] = classifier.predict_clauses(["The color is lovely, but the quality is poor"])
            >>> [(clause.text, clause.label) for clause in clauses]
            [('The color is lovely,', 'positive'), ('but the quality is poor', 'negative')]

        Args:
            texts: as for `predict_proba`.

        Raises:
            TypeError, ClassifierError: as `predict_proba`.
        """
        split = [clause_texts(text) for text in self.clean(texts)]
        flat = [clause for clauses in split for clause in clauses]
        probabilities = self.predict_proba(flat)
        labeled = map(Clause, flat, map(str, self.label(probabilities)), probabilities.tolist())
        return [list(islice(labeled, len(clauses))) for clauses in split]

    def label(self, probabilities: NDArray[np.float32], threshold: float | None = None) -> list[str | None]:
        """Return the label of each probability, as `predict`; None for NaN."""
        labels = predict_labels(probabilities, self.threshold if threshold is None else threshold)
        unsure = is_unsure(probabilities, self.unsure if threshold is None else None)
        answers = np.where(unsure, len(LABELS), labels).tolist()
        names = (*LABELS, UNSURE)
        return [
            None if math.isnan(probability) else names[answer]
            for probability, answer in zip(probabilities.tolist(), answers, strict=True)
        ]
