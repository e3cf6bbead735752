"""Write a classifier for another library as a folder: the model, its tokenizer, how to use it, and a card.

The card has the greatest difference to this project on some reviews, as the other library computes it.
"""

import logging
import re
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sentiment.cards import render_markdown
from sentiment.common.errors import ParamsError
from sentiment.common.files import atomic_folder, write_text
from sentiment.encoder.frozen import FrozenEncoder
from sentiment.encoder.tokenizer import load_tokenizer
from sentiment.head.classifier import ENCODER, Classifier
from sentiment.inference.classifier import SentimentClassifier

Kind = Literal["onnx", "sentence-transformers", "transformers"]
Arrays = NDArray[np.float32]
BATCH = 32  # texts that the other library gets at one time

log = logging.getLogger(__name__)


def export(classifier_folder: Path, to: Kind, texts: Sequence[str], output: Path, model_card: str = "") -> None:
    """Write the classifier of a folder in another format, as a new folder `output`.

    Args:
        to: whose format.
        texts: on which both are compared.
        model_card: of the classifier, which the folder's card ends with.

    Raises:
        ParamsError: `output` is there already.
        ClassifierError: the classifier is missing or damaged, or the format cannot express it.
    """
    if output.exists():
        raise ParamsError(f"{output}: is there already; remove it, or name another folder")
    ours = SentimentClassifier.load(classifier_folder, "cpu")
    encoder, classifier = classifier_folder / ENCODER, ours.classifier
    with atomic_folder(output) as partial:
        theirs = WRITERS[to](partial, encoder, classifier)
        for weights in partial.glob("*.safetensors"):
            weights.chmod(0o644)  # safetensors writes for the owner alone
        in_float32 = FrozenEncoder.load(encoder, ours.encoder.config.model_copy(update={"precision": "float32"}), "cpu")
        differences: dict[str, float] = {}
        if texts:
            computed = np.concatenate([theirs(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)])
            for name, one in (("float32", in_float32), (ours.encoder.precision, ours.encoder)):
                reference = _reference(SentimentClassifier(classifier, one), to, texts)
                differences[name] = float(np.abs(computed - reference).max())
                log.info("export: greatest difference to %s on %d reviews: %.2g", name, len(texts), differences[name])
        card = render_markdown(
            "sentiment.export",
            "card.md.j2",
            to=to,
            config=classifier.config,
            differences=differences,
            n_texts=len(texts),
            example={kind: _example(kind) for kind in ("py", "mjs")} if to == "onnx" else {},
            model_card=_without_front_matter(model_card),
        )
        write_text(partial / "README.md", card)


def _reference(ours: SentimentClassifier, to: Kind, texts: Sequence[str]) -> Arrays:
    """Return what the other library should compute: probabilities, or vectors in its order."""
    if to != "sentence-transformers":
        return ours.predict_proba(texts)
    features = ours.encoder.encode(texts)
    if ours.encoder.config.pooling == "mean+max":
        features = np.concatenate(np.split(features, 2, axis=1)[::-1], axis=1)
    return features


def _write_onnx(folder: Path, encoder: Path, classifier: Classifier) -> Callable[[Sequence[str]], Arrays]:
    import onnx
    from onnxruntime import InferenceSession

    from sentiment.export.onnx import INPUTS, onnx_model

    onnx.save(onnx_model(encoder, classifier), folder / "model.onnx")
    tokenizer = load_tokenizer(encoder)
    tokenizer.save(str(folder / "tokenizer.json"))
    for name in ("py", "mjs"):
        write_text(folder / f"example.{name}", _example(name))
    tokenizer.enable_padding()
    session = InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])

    def probabilities(texts: Sequence[str]) -> Arrays:
        encoded = tokenizer.encode_batch(list(texts))
        arrays = ([one.ids for one in encoded], [one.attention_mask for one in encoded])
        inputs = {name: np.array(array, np.int64) for name, array in zip(INPUTS, arrays, strict=True)}
        return np.asarray(session.run(None, inputs)[0], np.float32)

    return probabilities


def _write_transformers(folder: Path, encoder: Path, classifier: Classifier) -> Callable[[Sequence[str]], Arrays]:
    from sentiment.export.hugging_face import write_sequence_classifier

    write_sequence_classifier(folder, encoder, classifier)
    from transformers import pipeline

    label: Any = pipeline("text-classification", model=str(folder), device="cpu")
    positive = classifier.config.labels[1]

    def probabilities(texts: Sequence[str]) -> Arrays:
        scored = label(list(texts), top_k=None, truncation=True)
        return np.array([{one["label"]: one["score"] for one in scores}[positive] for scores in scored], np.float32)

    return probabilities


def _write_sentence_transformers(
    folder: Path, encoder: Path, classifier: Classifier
) -> Callable[[Sequence[str]], Arrays]:
    from sentence_transformers import SentenceTransformer

    from sentiment.export.hugging_face import write_sentence_transformer

    write_sentence_transformer(folder, encoder, classifier)
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    return lambda texts: np.asarray(model.encode(list(texts)), np.float32)


WRITERS: dict[Kind, Callable[[Path, Path, Classifier], Callable[[Sequence[str]], Arrays]]] = {
    "onnx": _write_onnx,
    "sentence-transformers": _write_sentence_transformers,
    "transformers": _write_transformers,
}


def _example(kind: str) -> str:
    return (files("sentiment.export") / f"example.{kind}").read_text(encoding="utf-8")


def _without_front_matter(card: str) -> str:
    """Return a card without its YAML, its headings one level lower."""
    text = card.split("\n---\n", 1)[-1] if card.startswith("---\n") else card
    return re.sub(r"^#", "##", text, flags=re.MULTILINE).strip()
