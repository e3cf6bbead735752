"""Numbers and nouns agree; words of misclassified reviews are marked by their contribution."""

import math
from dataclasses import replace

import pytest

from sentiment.evaluation.significance import Comparison
from sentiment.report.data import ReportData, collect, explained_reviews
from sentiment.report.page import render
from tests.project import Project


@pytest.fixture
def data(project_with_experiment: Project, monkeypatch: pytest.MonkeyPatch) -> ReportData:
    monkeypatch.chdir(project_with_experiment.root)
    return collect(["HEAD", "strict"])


def test_one_review_is_written_in_the_singular(data: ReportData) -> None:
    comparison = Comparison(1, {}, only_a_correct=1, only_b_correct=2, p_value=1.0, min_detectable_difference=0.5)
    one = replace(data.revisions[0], metrics={**data.revisions[0].metrics, "rows": 1})
    page = render(replace(data, comparison=comparison, revisions=[one, data.revisions[1]]), "today")
    text = "".join(part.partition(">")[2] for part in page.split("<"))
    assert "Only HEAD is correct on 1 review, only strict on 2." in text
    assert "1 test review; intervals" in text


def test_every_misclassified_text_is_in_pieces_whose_strongest_words_are_marked(data: ReportData) -> None:
    assert sum(map(len, data.misclassified.values()))
    for title, rows in data.misclassified.items():
        assert set(data.explained[title]) == {row.id for row in rows}
        for key, pieces in data.explained[title].items():
            assert "".join(piece.text for piece in pieces) == data.reviews[key].text
            strongest = max(pieces, key=lambda piece: abs(piece.contribution))
            assert strongest.level == 3
            assert all(math.isfinite(piece.contribution) for piece in pieces)
    page = render(data, "today")
    assert 'class="word up level' in page
    assert 'class="word down level' in page


def test_a_revision_without_a_classifier_is_shown_in_plain_text(
    project_with_experiment: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project_with_experiment.root)
    assert explained_reviews("nowhere", {"0a": "Soft and warm"}) == {}
