"""What holds for every encoder that a tool writes, or that is in git."""

from pathlib import Path

import torch
from transformers import AutoModel, AutoTokenizer


def assert_loads_with_transformers(folder: Path) -> None:
    """Assert that transformers reads a folder as an ALBERT whose tokenizer splits unseen words."""
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model, report = AutoModel.from_pretrained(
        folder, local_files_only=True, add_pooling_layer=False, dtype=torch.float32, output_loading_info=True
    )
    assert type(model).__name__ == "AlbertModel"
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    tokens = tokenizer(["Love it", "a qwxqzzy dress 😀 \u4e2d", ""], padding=True, return_tensors="pt")
    assert tokenizer.unk_token_id in tokens["input_ids"][1]
    assert len(tokenizer("qwxqzzy")["input_ids"]) > 3, "an unseen word is split into shorter tokens"
    assert torch.isfinite(model(**tokens).last_hidden_state).all()
