"""Measure the whole `dvc repro` beside the naive loop, which runs the encoder in every epoch."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter

import torch
from transformers import AutoModel, AutoTokenizer

from tools.process import run

EPOCHS, BATCH, SAMPLE = 30, 16, 256


def repro_seconds(source: Path) -> float:
    """Return seconds of a whole `dvc repro --force` on `source`, in a temporary clone."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder, "clone")
        run(Path(), "git", "clone", "--quiet", ".", str(clone))
        (clone / "data/raw/real.csv").write_bytes(source.read_bytes())
        params = clone / "params.yaml"
        params.write_text(params.read_text().replace("data/raw/sample.csv", "data/raw/real.csv"))
        started = perf_counter()
        run(clone, "dvc", "repro", "--force")
        return perf_counter() - started


def naive_loop_seconds(folder: Path, max_length: int, texts: Sequence[str], rows: int) -> float:
    """Return the seconds of 30 epochs over `rows` reviews, scaled from one epoch over the first `SAMPLE` texts.

    Encoder and head forward for every batch of 16 in file order, padded to `max_length`; only the head is trained.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoder = AutoModel.from_pretrained(folder, dtype=torch.float32).train(False).requires_grad_(False)
    head = torch.nn.Linear(encoder.config.hidden_size, 1)
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-4)
    chosen = list(texts[:SAMPLE])
    started = perf_counter()
    for start in range(0, len(chosen), BATCH):
        tokens = tokenizer(
            chosen[start : start + BATCH],
            padding="max_length", truncation=True, max_length=max_length, return_tensors="pt",
        )  # fmt: skip
        logits = head(encoder(**tokens).last_hidden_state[:, 0]).squeeze(1)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return (perf_counter() - started) / len(chosen) * rows * EPOCHS


def measure(source: Path, folder: Path, max_length: int, texts: Sequence[str]) -> Iterator[dict[str, object]]:
    """Yield seconds of both, and how many times faster the pipeline is."""
    pipeline_seconds = repro_seconds(source)
    naive = naive_loop_seconds(folder, max_length, texts, rows=len(texts))
    yield {"baseline": "this project", "seconds": pipeline_seconds, "speedup": naive / pipeline_seconds}
    yield {"baseline": f"the naive loop, scaled from {SAMPLE} reviews", "seconds": naive, "speedup": 1.0}
