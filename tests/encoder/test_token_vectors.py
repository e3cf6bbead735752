"""Vectors of texts and of their tokens, from one pass of the encoder."""

import numpy as np
import pytest
from numpy.typing import NDArray

from sentiment.encoder.config import EncoderConfig, Precision
from sentiment.encoder.frozen import FrozenEncoder
from tests.project import ROOT

TEXTS = ["Soft and warm", "", "The seams came loose after one wash, and it shrank " * 8, "lovely"] * 40


@pytest.mark.parametrize("precision", ["int8", "int16", "float32"])
def test_vectors_of_texts_have_the_bytes_of_encode_and_those_of_tokens_pool_to_them(precision: Precision) -> None:
    config = EncoderConfig(max_length=64, pooling="mean+max", precision=precision)
    encoder = FrozenEncoder.load(ROOT / "models" / "encoders" / "reviews-albert", config)

    def pooled(
        features: NDArray[np.float32], vectors: list[NDArray[np.float32]]
    ) -> list[tuple[bytes, NDArray[np.float32], int]]:
        by_text = [np.concatenate([one.mean(axis=0), one.max(axis=0)]) for one in vectors]
        return [(row.tobytes(), text, len(one)) for row, text, one in zip(features, by_text, vectors, strict=True)]

    token_ids = encoder.tokenize(TEXTS)
    results = encoder.encode_with_tokens(token_ids, pooled)
    features = encoder.encode(TEXTS)
    assert [content for content, _, _ in results] == [row.tobytes() for row in features]
    assert [n_tokens for _, _, n_tokens in results] == list(map(len, token_ids))
    np.testing.assert_allclose(np.stack([text for _, text, _ in results]), features, atol=1e-5)
    assert encoder.encode_with_tokens([], pooled) == []
