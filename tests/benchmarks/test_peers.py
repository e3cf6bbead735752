"""The engines beside which encoding is measured."""

import numpy as np
import torch

from benchmarks.encode import BUNDLED
from benchmarks.peers import Batches, MeanPooled, static_vectors


def test_static_vectors_are_those_of_the_tokens_where_the_encoder_has_more() -> None:
    module, batches = MeanPooled(BUNDLED), Batches(BUNDLED, 128)
    rows = module.model.embeddings.word_embeddings.weight
    module.model.embeddings.word_embeddings = torch.nn.Embedding(len(rows) + 1_000, rows.shape[1])
    with torch.no_grad():
        module.model.embeddings.word_embeddings.weight[: len(rows)] = rows
    encode = static_vectors(module, batches, [])["model2vec"]
    token = batches.tokenizer.token_to_id("dress")
    np.testing.assert_allclose(encode(["dress"])[0], rows[token].detach().numpy(), rtol=1e-6)
