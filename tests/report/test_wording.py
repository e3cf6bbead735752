"""Three revisions, as data and as a page: verdicts in words, revisions of other versions."""

import math
import os
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from sentiment.evaluation.significance import Comparison
from sentiment.experiments.comparison import correct_for_many
from sentiment.report.data import ReportData, collect, explained_reviews
from sentiment.report.page import render
from tests.project import Project


@pytest.fixture(scope="module")
def data(project_with_experiment: Project) -> Iterator[ReportData]:
    before = os.getcwd()  # noqa: PTH109
    os.chdir(project_with_experiment.root)
    yield collect(["HEAD", "strict", "workspace"], "val")
    os.chdir(before)


def text_of(page: str) -> str:
    texts: list[str] = []
    parser = HTMLParser()
    parser.handle_data = texts.append  # type: ignore[method-assign, assignment]
    parser.feed(page)
    return " ".join("".join(texts).split())


def test_each_revision_is_compared_with_the_first_in_words(data: ReportData) -> None:
    strict, now = data.verdicts
    branch = data.revisions[2].title  # what the workspace is called
    assert branch.startswith("main")
    assert strict.startswith("strict is worse than HEAD: it labels ")
    assert " fewer of 100 reviews correctly; unlikely to be chance (" in strict
    assert now.startswith(f"{branch} labels as many reviews correctly as HEAD (")
    page = text_of(render(data))
    assert "Each is compared with HEAD; p values are corrected for 2 comparisons (Holm)." in page
    assert "the color of a single word can mislead" in page
    assert [table.title for table in data.misclassified] == [
        "Wrong in strict, correct in HEAD",
        "Wrong in HEAD, correct in strict",
        f"Wrong in {branch}, correct in HEAD",
        f"Wrong in HEAD, correct in {branch}",
    ]
    revisions = {point["rev"] for plot in data.plots for point in plot.spec["data"]["values"]}
    assert revisions == {"HEAD", "strict", branch}


def test_a_metric_that_an_older_or_a_newer_revision_lacks_is_left_out_there(data: ReportData) -> None:
    old = {name: value for name, value in data.revisions[0].metrics.items() if "brier" not in name}
    new = {**data.revisions[1].metrics, "a_metric_of_the_future": 0.4321}
    revisions = [replace(data.revisions[0], metrics=old), replace(data.revisions[1], metrics=new)]
    page = text_of(render(replace(data, revisions=revisions, comparisons={})))
    assert f"Brier score lower is better \N{EN DASH} {new['brier']:.4f}" in page
    assert "0.4321" not in page


def test_one_review_is_written_in_the_singular(data: ReportData) -> None:
    comparison = Comparison(1, {}, only_a_correct=1, only_b_correct=2, p_value=1.0, min_detectable_difference=0.5)
    one = replace(data.revisions[0], metrics={**data.revisions[0].metrics, "rows": 1})
    comparisons = {"strict": comparison}
    page = text_of(render(replace(data, comparisons=comparisons, revisions=[one, data.revisions[1]])))
    assert "Only HEAD is correct on 1 review, only strict on 2." in page
    assert "Compared on 1 val review; intervals" in page


def test_p_values_are_corrected_for_their_number() -> None:
    one = Comparison(100, {}, 1, 9, p_value=0.02, min_detectable_difference=0.1)
    p_values = {"a": 0.02, "b": 0.03, "c": 0.001, "d": 0.9}
    corrected = correct_for_many({name: replace(one, p_value=p) for name, p in p_values.items()})
    # statsmodels: multipletests([0.02, 0.03, 0.001, 0.9], method="holm")
    assert {name: round(value.p_value, 6) for name, value in corrected.items()} == {
        "a": 0.06,
        "b": 0.06,
        "c": 0.004,
        "d": 0.9,
    }
    assert [corrected[name].verdict for name in "ac"] == ["no difference", "better"]


def test_every_misclassified_text_is_in_pieces_whose_strongest_words_are_marked(data: ReportData) -> None:
    assert sum(len(table.rows) for table in data.misclassified)
    for table in data.misclassified:
        for row in table.rows:
            pieces = data.explained[table.revision][row.id]
            assert "".join(piece.text for piece in pieces) == data.reviews[row.id].text
            strongest = max(pieces, key=lambda piece: abs(piece.contribution))
            assert strongest.level == 3
            assert all(math.isfinite(piece.contribution) for piece in pieces)
    page = render(data)
    assert 'class="word up level' in page
    assert 'class="word down level' in page


def test_a_revision_without_a_classifier_is_shown_in_plain_text(data: ReportData) -> None:
    assert explained_reviews("nowhere", {"0a": "Soft and warm"}) == {}
