"""Texts of several clauses: where they are cut, and the label of each clause."""

from itertools import pairwise

import pytest

from sentiment.inference.classifier import SentimentClassifier
from sentiment.inference.explanation import clause_texts, split_clauses, split_sentences
from tests.inference.conftest import Predict


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("Lovely fabric but runs small", ["Lovely fabric", "but runs small"]),
        ("Warm. However, it itches!  So sad...", ["Warm.", "However, it itches!", "So sad..."]),
        ("Although it is pretty, I sent it back", ["Although it is pretty,", "I sent it back"]),
        ("I like it, even though it shrank", ["I like it,", "even though it shrank"]),
        ("It looks as though it is new", ["It looks as though it is new"]),
        ("Not only soft but also warm", ["Not only soft but also warm"]),
        ("Nothing but trouble", ["Nothing but trouble"]),
        ("Quite pretty, though.", ["Quite pretty, though."]),
        ("Size 5.5 fits\nand the hem is 3.2 inches", ["Size 5.5 fits", "and the hem is 3.2 inches"]),
        ("But", ["But"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_clauses(text: str, clauses: list[str]) -> None:
    assert clause_texts(text) == clauses


def test_sentences_and_clauses_leave_out_white_space_only() -> None:
    text = "  Soft,  but thin ; though: warm!? “Yes”\n\n but no…  "
    for spans in (split_sentences(text), split_clauses(text)):
        assert "".join("".join(text[start:end] for start, end in spans).split()) == "".join(text.split())
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def test_each_clause_is_labeled_as_a_text_of_its_own(sentiment: SentimentClassifier) -> None:
    labeled = sentiment.predict_clauses(["Soft and warm, but it fell apart. I sent it back", " ", "Lovely"])
    assert [[clause.text for clause in clauses] for clauses in labeled] == [
        ["Soft and warm,", "but it fell apart.", "I sent it back"],
        [],
        ["Lovely"],
    ]
    flat = [clause for clauses in labeled for clause in clauses]
    assert [clause.probability for clause in flat] == sentiment.predict_proba([one.text for one in flat]).tolist()
    assert [clause.label for clause in flat] == sentiment.predict([one.text for one in flat])


def test_the_command_labels_the_clauses_of_texts_and_refuses_files(predict: Predict) -> None:
    outcome = predict("--clauses", "--format", "text", "Soft and warm, but it fell apart")
    assert [line[len("positive  0.000  ") :] for line in outcome.out.splitlines()] == [
        "Soft and warm,",
        "but it fell apart",
    ]
    refused = predict("--clauses", "reviews.csv")
    assert refused.status == 1
    assert "--clauses is for texts" in refused.stderr
