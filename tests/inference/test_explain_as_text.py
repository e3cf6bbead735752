"""`sentiment predict --explain` as readable text: the strongest words below each text."""

from sentiment.inference.classifier import SentimentClassifier
from tests.inference.conftest import TEXT, Predict

INDENT = len("positive  0.000  ")


def test_the_strongest_words_are_below_each_text(predict: Predict, sentiment: SentimentClassifier) -> None:
    lines = predict("--explain", "--format", "text", TEXT, "").out.splitlines()
    [explanation] = sentiment.explain([TEXT])
    assert explanation is not None
    order = sorted(explanation.words, key=lambda word: -abs(word.contribution))
    assert lines[0][INDENT:].startswith(TEXT[:20])
    expected = [f"{word.contribution:+.2f} {word.text}" for word in order[:2]]
    assert lines[1][INDENT:].split("  ")[:2] == expected
    assert lines[2].endswith("(no text)")
    assert len(lines) == 3


def test_a_narrow_terminal_gets_one_word_and_no_escape_code(predict: Predict, sentiment: SentimentClassifier) -> None:
    escape = "\x1b[31mred"
    [explanation] = sentiment.explain([escape])
    assert explanation is not None
    assert len(explanation.strongest_words(5).split("  ")) == 1
    assert "\x1b" not in predict("--explain", "--format", "text", escape).out
