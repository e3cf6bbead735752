"""Frozen parts keep their bytes; the learning rate falls from layer to layer."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file
from transformers import AutoModel

from sentiment.finetuning.model import EncoderWithHead, build_optimizer, lr_factor, weight_part
from sentiment.finetuning.settings import FinetuneParams
from tests.finetuning.conftest import Finetune
from tests.project import DEFAULTS


def is_embedding(name: str) -> bool:
    return name.startswith("embeddings.") or "embedding_hidden_mapping_in" in name


def is_attention(name: str) -> bool:
    return ".attention." in name


@pytest.mark.parametrize(
    ("encoder", "frozen", "is_frozen"),
    [
        ("bert", [], lambda name: False),
        ("bert", ["embeddings"], is_embedding),
        ("bert", ["attention"], is_attention),
        ("bert", ["ffn"], lambda name: not is_embedding(name) and not is_attention(name)),
        ("bert", [0], lambda name: name.startswith("encoder.layer.0.")),
        ("bert", ["embeddings", 0], lambda name: is_embedding(name) or name.startswith("encoder.layer.0.")),
        ("albert", ["embeddings"], is_embedding),
        ("albert", ["attention", "ffn"], lambda name: not is_embedding(name)),
    ],
)
def test_frozen_parts_stay_as_they_are_and_all_others_change(
    run_finetune: Finetune, request: pytest.FixtureRequest, tmp_path: Path,
    encoder: str, frozen: list[object], is_frozen: Callable[[str], bool],
) -> None:  # fmt: skip
    source: Path = request.getfixturevalue(encoder)
    done = run_finetune("out", source, epochs=1, frozen=frozen)
    assert done.status == 0, done.stderr
    before, after = load_file(source / "model.safetensors"), load_file(tmp_path / "out" / "model.safetensors")
    assert after.keys() == {name for name in before if not name.startswith("pooler.")}
    for name, weight in after.items():
        assert weight.equal(before[name]) == is_frozen(name), name


@pytest.mark.parametrize(
    ("encoder", "frozen", "message"),
    [
        ("bert", [2], "finetune.frozen: this encoder has no part 2, expected 0, 1, attention, embeddings, ffn"),
        ("albert", [0], "has no part 0, expected attention, embeddings, ffn; its layers share their weights"),
        ("bert", ["embeddings", 0, 1], "finetune.frozen names every part of the encoder"),
        ("bert", ["pooler"], "finetune.frozen.0"),
    ],
)
def test_a_part_that_cannot_be_frozen_is_one_line(
    run_finetune: Finetune, request: pytest.FixtureRequest, tmp_path: Path,
    encoder: str, frozen: list[object], message: str,
) -> None:  # fmt: skip
    done = run_finetune("out", request.getfixturevalue(encoder), frozen=frozen)
    assert done.status == 1
    assert message in done.stderr
    assert "\n" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_every_weight_is_trained_and_vectors_are_not_decayed(bert: Path) -> None:
    defaults = yaml.safe_load((DEFAULTS / "params.yaml").read_text())["finetune"]
    keys = {**defaults, "frozen": (), "learning_rate": 0.01, "weight_decay": 0.1}
    model = EncoderWithHead(AutoModel.from_pretrained(bert, add_pooling_layer=False), "mean", 5, 0.1)
    optimizer, _ = build_optimizer(model, FinetuneParams(**keys), 10)
    names = {weight: name for name, weight in model.named_parameters()}
    for group in optimizer.param_groups:
        for weight in group["params"]:
            assert group["initial_lr"] == 0.01, names[weight]
            assert group["weight_decay"] == (0.1 if weight.ndim > 1 else 0.0), names[weight]
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(names)


def test_the_learning_rate_rises_and_falls() -> None:
    factors = [lr_factor(step, 10, 100) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[9] == 1.0
    assert factors[-1] == pytest.approx(1 / 90)
    assert lr_factor(0, 0, 10) == 1.0
    assert lr_factor(10, 0, 10) == 0.0


def test_weights_of_distilbert_and_modernbert_have_their_parts() -> None:
    assert weight_part("transformer.layer.3.attention.q_lin.weight", None) == ("attention", 3)
    assert weight_part("transformer.layer.3.ffn.lin1.weight", None) == ("ffn", 3)
    assert weight_part("layers.5.attn.Wqkv.weight", None) == ("attention", 5)
    assert weight_part("layers.5.mlp.Wi.weight", None) == ("ffn", 5)
    assert weight_part("embeddings.tok_embeddings.weight", None) == ("embeddings", None)
    assert weight_part("final_norm.weight", None) == ("other", None)
