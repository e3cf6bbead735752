"""Texts with labels in; targets between 0 and 1 out, from teachers that were not trained on these texts.

Cross-fitting: on texts that it was trained on, a teacher only repeats the labels.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sentiment.common.errors import EncoderError, InputError
from sentiment.common.files import atomic
from sentiment.data.text import Hashes, hash_texts, read_seen_texts
from sentiment.encoder.files import check_weights
from tools.distill.config import DistillConfig
from tools.distill.examples import Examples
from tools.distill.training import TrainableEncoder


def folds_of(hashes: Hashes, config: DistillConfig) -> NDArray[np.int64]:
    """Return the random fold of each review; equal hashes share one, sizes are equal otherwise. # (n_reviews,)"""
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    folds = np.random.default_rng(config.seed).permutation(len(hashes)) % config.n_folds
    same_for_equal_texts: NDArray[np.int64] = folds[first[inverse]]
    return same_for_equal_texts


def cross_fit(teacher: Path, train: Examples, val: Examples, config: DistillConfig) -> NDArray[np.float32]:
    """Return the probability of every target of the training texts. # (n_examples, n_targets)

    A teacher for each fold is fine-tuned on the reviews of the other folds, without excerpts, and predicts the texts of
    its fold, excerpts among them.

    Args:
        teacher: the folder of the encoder that the teachers start from.
        val: chooses the epoch of each teacher.

    Raises:
        EncoderError: the encoder is missing, or was trained on reviews that it would predict.
    """
    check_weights(teacher)
    hashes = hash_texts(train.reviews)
    if np.isin(hashes, read_seen_texts(teacher)).any():
        raise EncoderError(f"{teacher}: was trained on reviews that it would predict; use an encoder that was not")
    fold = folds_of(hashes, config)[train.review]  # (n_examples,)
    probabilities = np.empty_like(train.targets)
    for held_out_fold in range(config.n_folds):
        encoder = TrainableEncoder(teacher, config.teacher)
        fitted = np.flatnonzero((fold != held_out_fold) & ~train.is_excerpt)
        held_out = np.flatnonzero(fold == held_out_fold)
        encoder.train(
            encoder.dataset([train.texts[index] for index in fitted], train.targets[fitted]),
            encoder.dataset(val.texts, val.targets),
            f"teacher {held_out_fold + 1} of {config.n_folds}",
        )
        data = encoder.dataset([train.texts[index] for index in held_out], train.targets[held_out])
        probabilities[held_out] = encoder.predict_proba(data)
    return probabilities


def read_or_cross_fit(
    file: Path | None, teacher: Path, train: Examples, val: Examples, config: DistillConfig
) -> NDArray[np.float32]:
    """Return what `cross_fit` does, from a .npy file if it exists; if not, it is written. # (n_examples, n_targets)

    Raises:
        InputError: the file has another number of texts or targets. That it is of the same texts is not checked.
    """
    if file is None or not file.exists():
        probabilities = cross_fit(teacher, train, val, config)
        if file is not None:
            with atomic(file) as partial, partial.open("wb") as opened:
                np.save(opened, probabilities)
        return probabilities
    stored: NDArray[np.float32] = np.load(file)
    if stored.shape != train.targets.shape:
        raise InputError(f"{file}: shape {stored.shape}, expected {train.targets.shape}; delete the file")
    return stored


def student_targets(probabilities: NDArray[np.float32], train: Examples, label_weight: float) -> NDArray[np.float32]:
    """Mix the teachers' probabilities with the labels of whole reviews. # (n_examples, n_targets)"""
    weight = np.where(train.is_excerpt, 0.0, label_weight)[:, None]  # (n_examples, 1)
    return ((1 - weight) * probabilities + weight * train.targets).astype(np.float32)
