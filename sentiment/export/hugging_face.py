"""Write folders that Hugging Face's libraries load without other code.

`write_sentence_transformer` writes an encoder with its pooling for sentence-transformers, `write_sequence_classifier` a
classifier for transformers' `pipeline("text-classification")`.

A sequence classifier of transformers sees the first token through a layer with tanh. Here that layer is a small
multiple of the identity, where tanh is linear, and the classification layer is the head with its standardization. So
the head must be one linear layer on the features of "cls", without words beside them.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sentiment.common.errors import ClassifierError
from sentiment.common.files import write_json, write_text
from sentiment.encoder.config import TOKENIZER_FILES, copy_files
from sentiment.encoder.loading import load_auto_model
from sentiment.encoder.tokenizer import load_auto_tokenizer
from sentiment.head.classifier import Classifier

# tanh(x * SCALE) / SCALE is x to within 2e-9 of its third power
SCALE = 2.0**-14
POOLERS = {"bert": "bert.pooler.dense", "albert": "albert.pooler"}  # the layer with tanh, by family


def write_sequence_classifier(folder: Path, encoder: Path, classifier: Classifier) -> None:
    """Write config, weights and tokenizer.

    Raises:
        ClassifierError: transformers has no sequence classifier that computes the same.
    """
    import transformers

    features = classifier.config.features.config
    config = transformers.AutoConfig.from_pretrained(encoder, local_files_only=True)
    if config.model_type not in POOLERS:
        raise ClassifierError(f"--to transformers: expected an encoder {' or '.join(POOLERS)}, not {config.model_type}")
    if features.pooling != "cls" or classifier.words or len(classifier.layers) > 1:
        raise ClassifierError(
            "--to transformers: its classifiers are one layer on the first token; train one, such as by "
            "`dvc exp run -S encode.pooling=cls -S train.words=false`, or use --to onnx, which exports any classifier"
        )
    config.num_labels = 2
    config.id2label = dict(enumerate(classifier.config.labels))
    config.label2id = {name: number for number, name in config.id2label.items()}
    pooler = POOLERS[config.model_type]
    model: Any = transformers.AutoModelForSequenceClassification.from_pretrained(
        encoder, config=config, dtype=torch.float32, local_files_only=True
    )
    weight, bias = scaled_head(classifier)
    with torch.no_grad():
        layers = dict(model.named_modules())
        layers[pooler].weight.copy_(torch.eye(config.hidden_size) * SCALE)
        layers[pooler].bias.zero_()
        layers["classifier"].weight.copy_(torch.cat([torch.zeros_like(weight), weight]))  # (2, hidden_size)
        layers["classifier"].bias.copy_(torch.cat([torch.zeros_like(bias), bias]))
    model.save_pretrained(folder)
    tokenizer = load_auto_tokenizer(encoder)
    tokenizer.model_max_length = features.max_length
    tokenizer.save_pretrained(folder)


def scaled_head(classifier: Classifier) -> tuple[Tensor, Tensor]:
    """Return weight and bias of the log-odds for features times `SCALE`, not standardized. # (1, dim), (1,)"""
    [(weight, bias)] = classifier.layers
    by_std = weight / classifier.std
    return torch.from_numpy(by_std / SCALE).float(), torch.from_numpy(bias - by_std @ classifier.mean).float()


POOLING_FOLDER = "1_Pooling"
MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": POOLING_FOLDER, "type": "sentence_transformers.models.Pooling"},
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
    write_json(folder / POOLING_FOLDER / "config.json", pooling)
    write_json(
        folder / "sentence_bert_config.json", {"max_seq_length": features.config.max_length, "do_lower_case": False}
    )
