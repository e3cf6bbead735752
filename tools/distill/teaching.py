"""Fine-tune teachers on folds of the train split, and mix what they predict with the labels: the student's targets.

Cross-fitting: on texts that it was trained on, a teacher only repeats the labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from sentiment.common.errors import EncoderError
from sentiment.data.text import Hashes, hash_texts, read_seen_texts
from sentiment.encoder.config import Pooling
from sentiment.encoder.files import check_weights
from sentiment.encoder.loading import pick_device, tokenize_with
from sentiment.finetuning.model import EncoderWithHead
from sentiment.finetuning.run import load
from sentiment.finetuning.settings import FinetuneParams
from sentiment.finetuning.training import Dataset, as_dataset, finetune, predict
from tools.distill.examples import Examples

POOLING: Pooling = "mean+max"


def finetune_params(epochs: int, learning_rate: float, device: str) -> FinetuneParams:
    """Return the settings of a training: those of the stage `finetune` that both trainings share, and these."""
    shared = {
        "encoder": "the folder that the command names",
        "seed": 0,
        "frozen": (),
        "rating_targets": True,  # required; `read_examples` makes the targets
        "dropout": 0.1,
        "weight_decay": 0.01,
        "warmup_ratio": 0.1,
        "batch_size": 32,
        "max_grad_norm": 1.0,
    }
    own = {"epochs": epochs, "learning_rate": learning_rate, "device": device}
    return FinetuneParams.model_validate(shared | own)


@dataclass(frozen=True)
class DistillConfig:
    """Cross-fitting, the texts to learn from, and the two trainings.

    Attributes:
        n_folds: of the train split; the teacher of a fold is fine-tuned on the others.
        n_excerpts: excerpts per review; a review of one sentence has none.
        label_weight: of the label and the rating in the targets of a review; the teacher's probabilities have the rest.
            The targets of an excerpt are the teacher's, for the label of the whole need not fit a part.
        seed: of folds, excerpts, initial heads and dropout.
        teacher_max_length, student_max_length: tokens kept of each text.
    """

    n_folds: int = 5
    n_excerpts: int = 2
    label_weight: float = 0.3
    seed: int = 0
    teacher_max_length: int = 96
    student_max_length: int = 128
    device: str = "auto"

    @property
    def teacher(self) -> FinetuneParams:
        """Return the settings of the row of MiniLM in the results tables, with fewer tokens."""
        return finetune_params(2, 7e-5, self.device)

    @property
    def student(self) -> FinetuneParams:
        """Return the settings with the lowest loss on val, and the highest AUC, of 24 (CONTRIBUTING has some)."""
        return finetune_params(1, 5e-4, self.device)


class TrainableEncoder:
    """An encoder with its tokenizer, and with a head once it is trained."""

    def __init__(self, folder: Path, params: FinetuneParams, max_length: int) -> None:
        self.params = params.model_copy(update={"encoder": str(folder)})
        self.tokenizer, self.encoder = load(folder, self.params, max_length)
        self.max_length = max_length
        self.model: EncoderWithHead | None = None

    def dataset(self, texts: Sequence[str], targets: NDArray[np.float32]) -> Dataset:
        """Tokenize texts. `targets`: in [0, 1]. # (n_texts, n_targets)"""
        return as_dataset(tokenize_with(self.tokenizer, self.max_length)(list(texts)), targets)

    def train(self, train: Dataset, val: Dataset, description: str) -> None:
        """Train, and keep the epoch of the lowest validation loss (of the label)."""
        device = pick_device(self.params.device, key="--device")
        n_targets = train.targets.shape[1]
        self.model = EncoderWithHead(self.encoder, POOLING, n_targets, self.params.dropout)
        torch.nn.Module.to(self.model, device)
        with tqdm(desc=description, total=self.params.epochs * len(train), unit=" texts", disable=None) as bar:

            def on_step(loss: float, n_texts: int) -> None:
                bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
                bar.update(n_texts)

            for epoch in finetune(self.model, train, val, self._pad_id, self.params, on_step):
                bar.write(f"{description}: val loss {epoch.val_loss:.4f}, val accuracy {epoch.val_accuracy:.4f}")

    def predict_proba(self, data: Dataset) -> NDArray[np.float32]:
        """Return the probability of every target. # (n_texts, n_targets)"""
        assert self.model is not None, "train first"
        probabilities = np.empty_like(data.targets)
        for indices, logits, _ in predict(self.model, data, self._pad_id):
            probabilities[indices] = torch.sigmoid(logits.float()).cpu().numpy()
        return probabilities

    @property
    def _pad_id(self) -> int:
        pad_id: Any = self.tokenizer.pad_token_id
        return int(pad_id or 0)


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
        encoder = TrainableEncoder(teacher, config.teacher, config.teacher_max_length)
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


def student_targets(probabilities: NDArray[np.float32], train: Examples, label_weight: float) -> NDArray[np.float32]:
    """Mix the teachers' probabilities with the labels of whole reviews. # (n_examples, n_targets)"""
    weight = np.where(train.is_excerpt, 0.0, label_weight)[:, None]  # (n_examples, 1)
    return ((1 - weight) * probabilities + weight * train.targets).astype(np.float32)
