"""A classifier that was trained on decoded texts decodes what it gets: in Python, in files, and over HTTP."""

import json
import shutil
import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from sentiment.data.text import decode_html
from sentiment.head.classifier import Classifier
from sentiment.inference.classifier import SentimentClassifier
from sentiment.serving.app import create_app
from sentiment.serving.protocols import Settings
from tests.serving.conftest import StartServer

ESCAPED = "  Soft &amp; warm.<br /><br />Don&#39;t   wash it &lt;br&gt;&nbsp;<b>hot</b> "
DECODED = "Soft & warm.  Don't   wash it  \xa0 hot"


@pytest.fixture(scope="module")
def of_html(classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a classifier as `prepare.decode_html: true` gives it."""
    folder = shutil.copytree(classifier, tmp_path_factory.mktemp("html") / "models/classifier")
    saved = Classifier.load(folder)
    features = saved.config.features.model_copy(update={"decode_html": True})
    config = saved.config.model_copy(update={"features": features})
    Classifier(config, saved.mean, saved.std, saved.layers).save(folder)
    return folder


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        (ESCAPED, f"  {DECODED}  "),
        ("2 < 3, <3 and 5 > 4 & 6 &c; AT&T; &#x1F457; &eacute;&hearts;", "2 < 3, <3 and 5 > 4 & 6 &c; AT&T; 👗 é♥"),
        ('<p class="a &amp; b">one</p><!-- two -->three', " one  three"),
        ("&amp;amp; is decoded once", "&amp; is decoded once"),
        ("&lt;p class=x&gt;one&lt;/p&gt; &lt;3", " one  <3"),
        ("<a", "<a"),
        ("", ""),
    ],
)
def test_entities_are_decoded_and_tags_are_spaces(text: str, decoded: str) -> None:
    assert decode_html(text) == decoded


@pytest.mark.parametrize("piece", ["<a", "<!--", "&lt;a", "&#", "&a", "<a b='", "&lt;!--"])
def test_what_never_ends_takes_no_quadratic_time(piece: str) -> None:
    start = time.monotonic()
    decode_html(piece * 300_000)
    assert time.monotonic() - start < 10


def test_a_text_has_the_probability_of_its_decoded_text(of_html: Path, sentiment: SentimentClassifier) -> None:
    decoding = SentimentClassifier.load(of_html)
    assert decoding.predict_proba([ESCAPED]) == sentiment.predict_proba([DECODED])
    assert sentiment.predict_proba([ESCAPED]) != sentiment.predict_proba([DECODED])
    assert decoding.predict(["<br/> &nbsp;", "<br/> warm"])[0] is None


def test_the_words_of_an_explanation_point_into_the_text_that_was_given(
    of_html: Path, sentiment: SentimentClassifier
) -> None:
    [explanation] = SentimentClassifier.load(of_html).explain([ESCAPED])
    [expected] = sentiment.explain([DECODED])
    assert explanation is not None
    assert expected is not None
    assert explanation.logit == expected.logit
    shown = [word.text for word in explanation.words]
    assert shown == ["Soft", "&amp;", "warm.<br", "/>Don&#39;t", "wash", "it", "&lt;br&gt;&nbsp;<b>hot</b>"]
    assert all(ESCAPED[word.start : word.end] == word.text for word in explanation.words)
    assert [word.contribution for word in explanation.words] == pytest.approx(
        [word.contribution for word in expected.words]
    )


def test_the_server_decodes_once_and_refuses_markup_without_a_text(
    of_html: Path, sentiment: SentimentClassifier, start_server: StartServer
) -> None:
    with start_server("--classifier", str(of_html)).client() as client:
        [answer] = client.post("/", json={"inputs": [ESCAPED]}).json()
        assert client.post("/", json={"inputs": "&nbsp;<br>"}).status_code == 422
        lines = "\n".join(map(json.dumps, [ESCAPED, "<br>", "&amp;lt;"]))
        many = client.post("/invocations", content=lines, headers={"Content-Type": "application/jsonlines"})
    scores = {one["label"]: one["score"] for one in answer}
    assert scores["positive"] == float(sentiment.predict_proba([DECODED])[0])
    assert many.status_code == 200, many.text
    values = [json.loads(line) for line in many.text.splitlines()]
    assert len(values) == 3
    assert values[1] != values[0]
    once, twice = (float(probability) for probability in sentiment.predict_proba(["&lt;", "<"]))
    assert once != twice
    assert values[2]["score"] in (once, 1 - once)


def test_a_row_of_markup_alone_has_no_text_for_the_page(of_html: Path) -> None:
    with TestClient(create_app(SentimentClassifier.load(of_html), Settings())) as client:
        headers = {"content-type": "application/octet-stream"}
        rows = client.post("/rows", params={"name": "a.txt"}, content=b"Soft &amp; warm\n<br />\n", headers=headers)
        assert rows.json()["texts"] == ["Soft &amp; warm", ""]
