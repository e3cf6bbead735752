"""An encoder's folder and texts with targets in; the encoder with a trained head out, or its probabilities."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from sentiment.encoder.loading import pick_device
from sentiment.finetuning.model import EncoderWithHead
from sentiment.finetuning.run import load, tokenize_with
from sentiment.finetuning.settings import FinetuneParams
from sentiment.finetuning.training import Dataset, as_dataset, finetune, predict


class TrainableEncoder:
    """An encoder with its tokenizer, and with a head once it is trained."""

    def __init__(self, folder: Path, params: FinetuneParams) -> None:
        self.params = params.model_copy(update={"encoder": str(folder)})
        self.tokenizer, self.encoder = load(folder, self.params)
        self.model: EncoderWithHead | None = None

    def dataset(self, texts: Sequence[str], targets: NDArray[np.float32]) -> Dataset:
        """Tokenize texts. `targets`: in [0, 1]. # (n_texts, n_targets)"""
        return as_dataset(tokenize_with(self.tokenizer, self.params.max_length)(list(texts)), targets)

    def train(self, train: Dataset, val: Dataset, description: str) -> None:
        """Train, and keep the epoch of the lowest validation loss (of the label)."""
        device = pick_device(self.params.device, key="--device")
        n_targets = train.targets.shape[1]
        self.model = EncoderWithHead(self.encoder, self.params.pooling, n_targets, self.params.dropout)
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
