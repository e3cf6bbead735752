"""Whatever a review, a slice or a branch is called, it is shown and not run."""

from sentiment.report.collect import Content, State
from sentiment.report.experiments import Experiment
from sentiment.report.mistakes import Mistake
from sentiment.report.page import render
from sentiment.report.plots import Picture
from tests.report.conftest import open_page

EVIL = "</script><script>window.run = 1</script><img src=x onerror='window.run = 2'> \"'><svg onload='window.run = 3'>"
METRICS = ["rows", "accuracy", "f1_macro", "roc_auc", "majority_accuracy", "balanced_accuracy", "precision", "recall"]
METRICS += ["f1", "average_precision", "log_loss", "brier", "expected_calibration_error"]


def test_texts_are_shown_and_not_run(browser, tmp_path):
    metrics = dict.fromkeys(METRICS, 0.5)
    slice_ = {"rows": 1.0, "accuracy": 1.0, "accuracy_low": 0.2, "accuracy_high": 1.0}
    spec = {
        "data": {"values": [{"value": EVIL, "x": 1}]},
        "description": EVIL,
        "mark": "bar",
        "encoding": {"x": {"field": "x", "type": "quantitative"}, "y": {"field": "value", "type": "nominal"}},
    }
    content = Content(
        states=[State(EVIL, metrics, {(EVIL, EVIL): slice_}, [Mistake("0a", "positive", "negative", 0.9)])],
        comparison=None,
        verdict=EVIL,
        experiments=[Experiment(EVIL, "abc1234", False, {EVIL: EVIL}, metrics)],
        changed=[EVIL],
        pictures=[Picture(EVIL, spec)],
        texts={"0a": EVIL},
    )
    page_file = tmp_path / "report.html"
    page_file.write_text(render(content, "today"), encoding="utf-8")
    opened = open_page(browser, page_file)
    assert opened.page.evaluate("window.run") is None
    assert opened.page.text_content("td.text") == EVIL
    assert opened.page.text_content("#verdict") == EVIL
    assert EVIL in opened.page.text_content("h1")
    assert opened.errors == []
    assert opened.page.evaluate("document.querySelectorAll('img, svg[onload]').length") == 0
