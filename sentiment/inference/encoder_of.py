"""The folder of a classifier in, its encoder out: the copy in that folder, or the one that its config names."""

from pathlib import Path
from typing import TYPE_CHECKING

from sentiment.common.errors import ClassifierError, EncoderError
from sentiment.features.config import Device, EncoderConfig
from sentiment.head.classifier import ENCODER, Classifier

if TYPE_CHECKING:
    from sentiment.encoder.frozen import FrozenEncoder


def load_trained_on(folder: Path, classifier: Classifier, device: Device) -> "FrozenEncoder":
    """Load the encoder that the classifier in `folder` was trained on.

    Raises:
        ClassifierError: the encoder is missing, damaged, differs from the one in training, or gives features of another
            dimension than the head takes.
    """
    trained_on = classifier.config.features
    encoder_path = find_encoder(folder, trained_on.config)
    encoder = load_encoder(folder, encoder_path, trained_on.config, device)
    name = f"{folder}: its encoder '{encoder_path or trained_on.config.encoder}'"
    advice = retrain_advice(folder, encoder_path)
    dims = {trained_on.dim, len(classifier.mean), classifier.layers[0][0].shape[1]}
    if dims != {encoder.dim}:
        expected = " or ".join(str(dim) for dim in sorted(dims - {encoder.dim}))
        raise ClassifierError(
            f"{name} gives {encoder.dim}-dimensional features, but the head takes {expected}; {advice}"
        )
    if encoder.fingerprint != trained_on.fingerprint:
        found, expected = encoder.fingerprint[:12], trained_on.fingerprint[:12]
        raise ClassifierError(f"{name} has fingerprint {found}, but the head was trained on {expected}; {advice}")
    return encoder


def load_encoder(folder: Path, encoder: Path | None, config: EncoderConfig, device: Device) -> "FrozenEncoder":
    """Load the encoder of the classifier in `folder`: a local one, or where `encoder` is None one from the Hub.

    Raises:
        ClassifierError: the encoder is missing or damaged.
    """
    from sentiment.encoder.frozen import FrozenEncoder  # torch, most of the start: not before it is needed

    if encoder is None and config.revision is None:
        raise ClassifierError(
            f"{folder}: its encoder '{config.encoder}' is missing; expected {folder / ENCODER}, which training writes "
            "(`dvc repro`, `dvc pull` or `dvc artifacts get`)"
        )
    try:
        return FrozenEncoder.load(config.model_copy(update={"encoder": str(encoder or config.encoder)}), device)
    except EncoderError as error:
        raise ClassifierError(f"{folder}: its encoder: {error}") from None


def find_encoder(folder: Path, config: EncoderConfig) -> Path | None:
    """Return the local encoder of the classifier in `folder`, or None where there is none.

    That is the copy in the classifier's folder; for an older classifier the folder that its config names, beside the
    classifier, in a folder above it, or in the current folder.
    """
    roots = [*folder.resolve().parents, Path()]
    candidates = [folder / ENCODER, *(root / config.encoder for root in roots)]
    return next((path for path in candidates if path.is_dir()), None)


def retrain_advice(folder: Path, encoder: Path | None) -> str:
    """Return what to do where an encoder is not the one that the head was trained on."""
    if encoder == folder / ENCODER:
        return f"`dvc checkout --force {folder}` or `dvc pull --force {folder}` restores it"
    restore = f"restore the encoder (`git checkout {encoder}`), or " if encoder else ""
    return f"{restore}train on this one: `dvc repro --force encode`, then `dvc repro`"
