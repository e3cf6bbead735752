"""`sentiment export`: what another library computes from the folder is what this project computes in float32."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sentiment.common.errors import ClassifierError, ParamsError
from sentiment.encoder.config import EncoderConfig, FeatureMetadata, Pooling
from sentiment.encoder.frozen import FrozenEncoder
from sentiment.export.folder import export
from sentiment.head.classifier import Classifier, ClassifierConfig, copy_encoder
from sentiment.head.words import Tokens, Vocabulary, Words
from sentiment.inference.classifier import SentimentClassifier
from tests.project import BUNDLED, ROOT, SAMPLE

MAX_LENGTH = 24
MakeClassifier = Callable[..., SentimentClassifier]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Texts of the sample, some of them longer than the encoder reads, ten with a character that it does not know."""
    texts: list[str] = pd.read_csv(ROOT / SAMPLE)["Review Text"].dropna().str.strip().tolist()[:100]
    return [f"\u2603 {text}" for text in texts[:10]] + texts[10:]


@pytest.fixture
def make_classifier(texts: list[str], tmp_path: Path) -> MakeClassifier:
    """Write a classifier with a random head to tmp_path/classifier, and return it as it computes in float32."""

    def make(pooling: Pooling, has_words: bool) -> SentimentClassifier:
        exact = FrozenEncoder.load(BUNDLED, EncoderConfig(max_length=MAX_LENGTH, pooling=pooling, precision="auto"))
        metadata = FeatureMetadata(
            config=exact.config, fingerprint=exact.fingerprint, dim=exact.dim, text_columns=("Title", "text"),
            decode_html=True,
        )  # fmt: skip
        rng = np.random.default_rng(0)
        vocabulary = Vocabulary.fit(Tokens.read(BUNDLED, [texts]))
        words = Words(vocabulary, rng.normal(size=len(vocabulary)) * 4) if has_words else None
        layer = rng.normal(size=(1, exact.dim)) / exact.dim**0.5, np.array([0.5])
        features = exact.encode(texts)
        config = ClassifierConfig(features=metadata, threshold=0.5)
        head = Classifier(config, features.mean(axis=0), features.std(axis=0), (layer,), words)
        head.save(tmp_path / "classifier")
        copy_encoder(BUNDLED, tmp_path / "classifier")
        float32 = exact.config.model_copy(update={"precision": "float32"})
        return SentimentClassifier(head, FrozenEncoder.load(BUNDLED, float32, "cpu"))

    return make


@pytest.mark.slow
@pytest.mark.parametrize("has_words", [True, False])
def test_onnx_is_one_file_from_token_ids_to_probability(
    make_classifier: MakeClassifier, texts: list[str], tmp_path: Path, has_words: bool
) -> None:
    ours = make_classifier("mean+max", has_words)
    assert max(map(len, ours.encoder.tokenize_whole(texts)[1])) > MAX_LENGTH
    export(tmp_path / "classifier", "onnx", texts, tmp_path / "out")
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["README.md", "example.mjs", "example.py", "model.onnx", "tokenizer.json"]
    done = subprocess.run(
        [sys.executable, "example.py", *texts], cwd=tmp_path / "out", capture_output=True, text=True, timeout=120,
        check=True,
    )  # fmt: skip
    theirs = np.array(done.stdout.split(), np.float64)
    assert np.abs(theirs - ours.predict_proba(texts)).max() < 1e-4
    card = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert "on 100 reviews, of a probability" in card
    shown = {name: float(number) for name, number in re.findall(r"^\| (\w+) \| (\S+e\S+) \|$", card, re.MULTILINE)}
    exact = SentimentClassifier.load(tmp_path / "classifier", "cpu").predict_proba(texts)
    assert 0 < shown["float32"] < 1e-4
    assert shown["int8"] == pytest.approx(np.abs(theirs - exact).max(), rel=0.1)
    assert ("words and pairs" in card) == has_words
    assert (tmp_path / "out/example.py").read_text(encoding="utf-8") in card


@pytest.mark.slow
def test_transformers_labels_with_a_head_on_the_first_token(
    make_classifier: MakeClassifier, texts: list[str], tmp_path: Path
) -> None:
    from transformers import pipeline

    ours = make_classifier("cls", has_words=False)
    export(
        tmp_path / "classifier", "transformers", texts, tmp_path / "out", "---\nlicense: mit\n---\n\n# Mine\n\nData."
    )
    card = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert "## Mine\n\nData." in card
    assert '"Title. text"' in card
    assert "texts whose HTML was decoded" in card
    scored = pipeline("text-classification", model=str(tmp_path / "out"), device="cpu")(texts, truncation=True)
    probabilities = ours.predict_proba(texts)
    assert [one["label"] for one in scored] == ours.label(probabilities)
    theirs = [one["score"] if one["label"] == "positive" else 1 - one["score"] for one in scored]
    assert np.abs(theirs - probabilities).max() < 1e-4


@pytest.mark.parametrize(("pooling", "has_words"), [("mean", False), ("cls", True)])
def test_transformers_is_refused_where_its_classifiers_cannot_compute_it(
    make_classifier: MakeClassifier, tmp_path: Path, pooling: str, has_words: bool
) -> None:
    make_classifier(pooling, has_words)
    with pytest.raises(ClassifierError, match=r"dvc exp run -S encode.pooling=cls -S train.words=false"):
        export(tmp_path / "classifier", "transformers", [], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["cls", "mean", "mean+max"])
def test_sentence_transformers_gives_the_features(
    make_classifier: MakeClassifier, texts: list[str], tmp_path: Path, pooling: str
) -> None:
    from sentence_transformers import SentenceTransformer

    ours = make_classifier(pooling, has_words=False)
    export(tmp_path / "classifier", "sentence-transformers", texts, tmp_path / "out")
    theirs = SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(texts)
    expected = ours.encoder.encode(texts)
    if pooling == "mean+max":
        expected = np.concatenate(np.split(expected, 2, axis=1)[::-1], axis=1)
    assert np.abs(theirs - expected).max() < 1e-4
    assert (tmp_path / "out/model.safetensors").stat().st_mode & 0o777 == 0o644
    assert "an element of a vector" in (tmp_path / "out/README.md").read_text(encoding="utf-8")


def test_a_folder_that_is_there_is_not_touched(make_classifier: MakeClassifier, tmp_path: Path) -> None:
    make_classifier("cls", has_words=False)
    (tmp_path / "out").mkdir()
    with pytest.raises(ParamsError, match="is there already"):
        export(tmp_path / "classifier", "onnx", [], tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
