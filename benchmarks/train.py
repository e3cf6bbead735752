"""Measure thirty epochs of the head beside the same loop in torch: autograd, AdamW, rows by index."""

from collections.abc import Callable, Iterator
from time import perf_counter

import numpy as np
import torch

from sentiment.head.mlp import Head
from sentiment.head.standardization import mean_and_std
from sentiment.head.training import LabeledFeatures, train_head

ROWS, DIM, BATCH = 18_000, 512, 16
EPOCHS, EPOCHS_MEASURED = 30, 2  # torch's are few, for an epoch takes as long as the next and there is no preparation


def measure() -> Iterator[dict[str, object]]:
    """Yield seconds for 30 epochs on 18,000 x 512 features in batches of 16, for each way to do it."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((ROWS, DIM), np.float32)
    split = LabeledFeatures(features, (features[:, 0] > 0).astype(np.float64))
    torch.set_num_threads(1)
    loops: dict[str, tuple[Callable[[LabeledFeatures], None], int]] = {
        "this project": (_ours, EPOCHS),
        "torch": (_torch, EPOCHS_MEASURED),
    }
    for name, (loop, epochs) in loops.items():
        loop(split)  # once, so that libraries are loaded and memory is there
        started = perf_counter()
        loop(split)
        yield {"baseline": name, "seconds_30_epochs": (perf_counter() - started) * EPOCHS / epochs}


def _ours(split: LabeledFeatures) -> None:
    rng = np.random.default_rng(0)
    head, (mean, std) = Head([DIM, 1], rng), mean_and_std(split.features)
    epochs = train_head(
        head, mean, std, split, split, rng,
        epochs=EPOCHS, dropout=0.0, learning_rate=1e-4, weight_decay=0.0, l2=0.0, batch_size=BATCH,
    )  # fmt: skip
    for _ in epochs:
        pass


def _torch(split: LabeledFeatures) -> None:
    features, labels = torch.from_numpy(split.features), torch.from_numpy(split.labels).float()
    head = torch.nn.Linear(DIM, 1)
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-4, weight_decay=0.0)
    for _ in range(EPOCHS_MEASURED):
        for rows in torch.randperm(ROWS).split(BATCH):
            optimizer.zero_grad()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(head(features[rows]).squeeze(1), labels[rows])
            loss.backward()
            optimizer.step()
