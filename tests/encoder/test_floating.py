"""This project's BERT and ALBERT in floats against transformers' own, the reference."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AlbertConfig, AutoModel, AutoModelForMaskedLM, AutoTokenizer

from sentiment.encoder.config import EncoderConfig, Pooling, Precision
from sentiment.encoder.floating import ROW_MULTIPLE, FloatTransformer
from sentiment.encoder.frozen import FrozenEncoder
from sentiment.encoder.loading import load_with_transformers
from tests.project import BUNDLED, ROOT
from tests.random_encoders import random_model, save_encoder

TEXTS = ["Soft and warm", "", "too big, " * 30, "I love it!", "zzyzx 😀 ünlikely", "I hate it!"]
SMALL: dict[str, Any] = {
    "vocab_size": 30_000, "embedding_size": 16, "hidden_size": 32, "num_hidden_layers": 4,
    "num_attention_heads": 2, "intermediate_size": 64,
}  # fmt: skip


def spec(pooling: Pooling = "mean", precision: Precision = "float32") -> EncoderConfig:
    return EncoderConfig(max_length=32, pooling=pooling, precision=precision)


def by_transformers(folder: Path, pooling: str, dtype: torch.dtype = torch.float32) -> np.ndarray:
    """One text after the other, so without any padding."""
    model = AutoModel.from_pretrained(folder, dtype=dtype, attn_implementation="eager").train(False)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    vectors = []
    for text in TEXTS:
        tokens = tokenizer(text, truncation=True, max_length=32, return_tensors="pt")
        with torch.no_grad():
            hidden = model(**tokens).last_hidden_state[0].float().numpy()
        expected = {"cls": hidden[0], "mean": hidden.mean(0), "max": hidden.max(0)}
        expected["mean+max"] = np.concatenate([expected["mean"], expected["max"]])
        vectors.append(expected[pooling])
    return np.stack(vectors)


@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "mean+max"])
@pytest.mark.parametrize(
    "changes",
    [{}, {"hidden_act": "gelu"}, {"num_hidden_groups": 2}, {"inner_group_num": 1, "num_attention_heads": 8}],
    ids=["gelu_new", "gelu", "two-groups", "eight-heads"],
)
def test_vectors_are_those_of_transformers(tmp_path: Path, changes: dict[str, object], pooling: Pooling) -> None:
    folder = save_encoder(random_model(AlbertConfig(**{**SMALL, **changes}), std=0.3), tmp_path)
    encoder = FrozenEncoder.load(folder, spec(pooling), "cpu")
    assert isinstance(encoder.model, FloatTransformer)
    np.testing.assert_allclose(encoder.encode(TEXTS), by_transformers(folder, pooling), rtol=1e-4, atol=1e-4)


def test_the_bundled_encoder_is_that_of_transformers() -> None:
    np.testing.assert_allclose(
        FrozenEncoder.load(BUNDLED, spec("mean+max"), "cpu").encode(TEXTS),
        by_transformers(BUNDLED, "mean+max"),
        atol=1e-5,
    )


@pytest.mark.parametrize("activation", ["gelu", "gelu_new"])
def test_bfloat16_is_no_less_exact_than_that_of_transformers(tmp_path: Path, activation: str) -> None:
    """Though it computes either GELU as the exact one."""
    folder = save_encoder(random_model(AlbertConfig(**{**SMALL, "hidden_act": activation}), std=0.3), tmp_path)
    exact = by_transformers(folder, "mean")
    expected_error = np.abs(by_transformers(folder, "mean", torch.bfloat16) - exact).mean()
    error = np.abs(FrozenEncoder.load(folder, spec(precision="bfloat16"), "cpu").encode(TEXTS) - exact).mean()
    assert 0 < error < 1.2 * expected_error


def test_weights_saved_with_a_head_are_the_same_weights(tmp_path: Path) -> None:
    model: Any = random_model(AlbertConfig(**SMALL), std=0.3, auto_class=AutoModelForMaskedLM)
    whole = FrozenEncoder.load(save_encoder(model, tmp_path / "whole"), spec(), "cpu")
    bare = FrozenEncoder.load(save_encoder(model.albert, tmp_path / "bare"), spec(), "cpu")
    assert whole.fingerprint == bare.fingerprint
    np.testing.assert_array_equal(whole.encode(TEXTS), bare.encode(TEXTS))


def test_an_albert_that_came_through_transformers_gives_the_same_vectors() -> None:
    direct = FrozenEncoder.load(BUNDLED, spec(), "cpu")
    through = FrozenEncoder(BUNDLED, load_with_transformers(BUNDLED, 32), spec(), "cpu")
    assert isinstance(through.model, FloatTransformer)
    assert through.fingerprint == direct.fingerprint
    np.testing.assert_array_equal(through.encode(TEXTS), direct.encode(TEXTS))


def test_tokens_are_those_of_transformers() -> None:
    sample = (ROOT / "data" / "raw" / "sample.csv").read_text().splitlines()
    texts = [*TEXTS, *sample]
    expected = AutoTokenizer.from_pretrained(BUNDLED)(texts, truncation=True, max_length=32)["input_ids"]
    assert FrozenEncoder.load(BUNDLED, spec(), "cpu").tokenize(texts) == expected
    assert max(len(ids) for ids in expected) == 32, "else nothing was cut"


def test_a_tokenizer_class_of_its_own_has_the_last_word(tmp_path: Path) -> None:
    """Such a class builds its tokenizer from more than tokenizer.json."""
    folder = Path(shutil.copytree(BUNDLED, tmp_path / "encoder"))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings |= {"tokenizer_class": "BertTokenizer", "do_lower_case": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    text = "LOVELY Dress"
    expected = AutoTokenizer.from_pretrained(folder)([text])["input_ids"]
    assert expected != AutoTokenizer.from_pretrained(BUNDLED)([text])["input_ids"], "else nothing is shown"
    assert FrozenEncoder.load(folder, spec(), "cpu").tokenize([text]) == expected


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.02)])
def test_other_texts_of_a_batch_change_no_vector(precision: Precision, tolerance: float) -> None:
    """Nor do the rows that bfloat16 is filled up with."""
    encoder = FrozenEncoder.load(BUNDLED, spec(precision=precision), "cpu")
    ids = encoder.tokenize(TEXTS)
    assert sum(map(len, ids)) % ROW_MULTIPLE, "else nothing is filled up"
    with torch.inference_mode():
        together = encoder.model.encode(ids, "mean")
        alone = torch.cat([encoder.model.encode([one], "mean") for one in ids])
    np.testing.assert_allclose(together, alone, atol=tolerance)


def test_transformers_is_not_imported_for_an_albert() -> None:
    program = (
        "import json, sys; from pathlib import Path; "
        "from sentiment.encoder.frozen import FrozenEncoder, EncoderConfig; "
        f"config = EncoderConfig(**{spec().model_dump()!r}); "
        f"FrozenEncoder.load(Path({str(BUNDLED)!r}), config, 'cpu').encode(['a']); "
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "torch" in json.loads(done.stdout)
    assert "transformers" not in json.loads(done.stdout)
