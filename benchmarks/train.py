"""Thirty epochs of the head, against the same loop in torch: autograd, AdamW, batches from a DataLoader or by index."""

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

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
    loops: dict[str, tuple[Callable[[], None], int]] = {
        "this project": (lambda: _ours(split), EPOCHS),
        "torch, rows by index": (lambda: _torch(split, loader=False), EPOCHS_MEASURED),
        "torch, DataLoader": (lambda: _torch(split, loader=True), EPOCHS_MEASURED),
    }
    for name, (loop, epochs) in loops.items():
        loop()  # once, so that libraries are loaded and memory is there
        started = perf_counter()
        loop()
        yield {"baseline": name, "seconds_30_epochs": (perf_counter() - started) * EPOCHS / epochs}


def _ours(split: LabeledFeatures) -> None:
    rng = np.random.default_rng(0)
    settings: dict[str, Any] = {
        "dropout": 0.0,
        "learning_rate": 1e-4,
        "weight_decay": 0.0,
        "l2": 0.0,
        "batch_size": BATCH,
    }
    for _ in train_head(
        Head([DIM, 1], rng), *mean_and_std(split.features), split, split, rng, epochs=EPOCHS, **settings
    ):
        pass


def _torch(split: LabeledFeatures, loader: bool) -> None:
    features, labels = torch.from_numpy(split.features), torch.from_numpy(split.labels).float()
    head = torch.nn.Linear(DIM, 1)
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-4, weight_decay=0.0)
    data = DataLoader(TensorDataset(features, labels), BATCH, shuffle=True)
    for _ in range(EPOCHS_MEASURED):
        for inputs, targets in data if loader else _batches(features, labels):
            optimizer.zero_grad()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(head(inputs).squeeze(1), targets)
            loss.backward()
            optimizer.step()


def _batches(features: torch.Tensor, labels: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for rows in torch.randperm(ROWS).split(BATCH):
        yield features[rows], labels[rows]
