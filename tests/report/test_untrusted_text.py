"""Text of reviews, slices, params and branches is shown and never run as HTML or script."""

from pathlib import Path

from playwright.sync_api import Browser

from sentiment.head.epoch_log import KeptEpoch
from sentiment.report.data import LocalReview, Misclassified, MisclassifiedTable, Plot, ReportData, RevisionResults
from sentiment.report.page import render
from tests.report.conftest import open_page

EVIL = "</script><script>window.run = 1</script><img src=x onerror='window.run = 2'> \"'><svg onload='window.run = 3'>"
METRICS = ["rows", "accuracy", "f1_macro", "roc_auc", "majority_accuracy", "balanced_accuracy", "precision", "recall"]
METRICS += [*(f"{name}_{end}" for name in METRICS[1:4] for end in ("low", "high"))]
METRICS += ["f1", "average_precision", "log_loss", "brier", "expected_calibration_error"]


def test_texts_are_shown_and_not_run(browser: Browser, tmp_path: Path) -> None:
    metrics = dict.fromkeys(METRICS, 0.5)
    slice_ = {"rows": 1.0, "accuracy": 1.0, "accuracy_low": 0.2, "accuracy_high": 1.0}
    spec = {
        "data": {"values": [{"value": EVIL, "x": 1}]},
        "description": EVIL,
        "mark": "bar",
        "height": 100,
        "encoding": {"x": {"field": "x", "type": "quantitative"}, "y": {"field": "value", "type": "nominal"}},
    }
    data = ReportData(
        split="test",
        revisions=[
            RevisionResults(
                name=EVIL,
                title=EVIL,
                metrics=metrics,
                slices={(EVIL, EVIL): slice_},
                n_reviews={"train": 8, "val": 1, "test": 1},
                head_epoch=KeptEpoch(3, 0.5),
                encoder_epoch=KeptEpoch(0, 0.5),
                params={EVIL: EVIL},
            )
        ],
        comparisons={},
        verdicts=[EVIL],
        plots=[Plot(EVIL, spec)],
        misclassified=[MisclassifiedTable(EVIL, EVIL, [Misclassified("0a", EVIL, EVIL, 0.9)])],
        reviews={"0a": LocalReview(EVIL, EVIL)},
    )
    page_file = tmp_path / "report.html"
    page_file.write_text(render(data), encoding="utf-8")
    opened = open_page(browser, page_file)
    assert opened.page.evaluate("window.run") is None
    assert opened.page.text_content("td.text") == EVIL
    assert opened.page.text_content("#verdict") == EVIL
    assert EVIL in (opened.page.text_content("h1") or "")
    assert opened.errors == []
    assert opened.page.evaluate("document.querySelectorAll('img, svg[onload]').length") == 0
