"""Write an encoder with its pooling as a folder that sentence-transformers loads."""

import json
from pathlib import Path

from sentiment.common.files import write_json, write_text
from sentiment.encoder.files import copy_files
from sentiment.head.classifier import Classifier

POOLING = "1_Pooling"
MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": POOLING, "type": "sentence_transformers.models.Pooling"},
]


def write_sentence_transformer(folder: Path, encoder: Path, classifier: Classifier) -> None:
    """Write the encoder and two files that name its modules; of "mean+max", sentence-transformers puts max first."""
    features = classifier.config.features
    copy_files(encoder, folder)
    hidden_size = json.loads((encoder / "config.json").read_bytes())["hidden_size"]
    pooling = {
        "word_embedding_dimension": hidden_size,
        "pooling_mode_cls_token": features.config.pooling == "cls",
        "pooling_mode_mean_tokens": "mean" in features.config.pooling,
        "pooling_mode_max_tokens": "max" in features.config.pooling,
    }
    write_text(folder / "modules.json", json.dumps(MODULES, indent=2) + "\n")
    write_json(folder / POOLING / "config.json", pooling)
    write_json(
        folder / "sentence_bert_config.json", {"max_seq_length": features.config.max_length, "do_lower_case": False}
    )
