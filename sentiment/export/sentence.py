"""Write an encoder with its pooling as a folder that sentence-transformers loads."""

import json
from pathlib import Path

import torch

from sentiment.common.files import write_json, write_text
from sentiment.encoder.files import TOKENIZER_FILES, copy_files
from sentiment.encoder.loading import load_auto_model
from sentiment.head.classifier import Classifier

POOLING = "1_Pooling"
MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": POOLING, "type": "sentence_transformers.models.Pooling"},
]


def write_sentence_transformer(folder: Path, encoder: Path, classifier: Classifier) -> None:
    """Write the encoder and the files that name its modules; of "mean+max", sentence-transformers puts max first.

    The weights are float32, because the library computes in the precision of the file. The layer behind the first
    token, which it loads and does not use, is zero.
    """
    features = classifier.config.features
    copy_files(encoder, folder, TOKENIZER_FILES)
    _, pretrained = load_auto_model(encoder)
    model = type(pretrained)(pretrained.config)
    model.load_state_dict(pretrained.state_dict(), strict=False)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith("pooler."):
                parameter.zero_()
    model.save_pretrained(folder)
    pooling = {
        "word_embedding_dimension": model.config.hidden_size,
        "pooling_mode_cls_token": features.config.pooling == "cls",
        "pooling_mode_mean_tokens": "mean" in features.config.pooling,
        "pooling_mode_max_tokens": "max" in features.config.pooling,
    }
    write_text(folder / "modules.json", json.dumps(MODULES, indent=2) + "\n")
    write_json(folder / POOLING / "config.json", pooling)
    write_json(
        folder / "sentence_bert_config.json", {"max_seq_length": features.config.max_length, "do_lower_case": False}
    )
