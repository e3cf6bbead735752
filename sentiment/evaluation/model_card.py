"""Write the model card of a classifier: Markdown with the fields of Hugging Face.

The card is written beside the classifier by `python -m stages.evaluate`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sentiment.cards import render_markdown
from sentiment.evaluation.metrics import METRICS, MIN_SLICE_ROWS, OPTIONAL_METRICS
from sentiment.head.classifier import ClassifierConfig

TEMPLATE = "model_card.md.j2"
N_WEAKEST_SLICES = 3  # listed under limitations
MIN_SHOWN_RATE = 0.1  # of failures; where a kind of behavior fails more often, examples are shown


def render_model_card(
    config: ClassifierConfig,
    split: Mapping[str, Any],
    metrics: Mapping[str, float],
    slices: Sequence[Mapping[str, Any]],
    behavior: Mapping[str, Mapping[str, Any]],
) -> str:
    """Return the model card; equal arguments give equal bytes.

    Args:
        config: of the classifier.
        split: of metrics/split.json; rows of train, val and test, and how the reviews were split.
        metrics: of the test reviews, each with `_low` and `_high`, its 95% interval.
        slices: rows of the test reviews: slice, value, rows, accuracy, accuracy_low, accuracy_high.
        behavior: of data/check/behavior.json; the results of each kind of behavioral test.
    """
    large = [row for row in slices if row["rows"] >= MIN_SLICE_ROWS]
    weakest = sorted(large, key=lambda row: (row["accuracy"], row["slice"], row["value"]))[:N_WEAKEST_SLICES]
    return render_markdown(
        "sentiment.evaluation",
        TEMPLATE,
        config=config,
        split=split,
        metrics=metrics,
        all_metrics=(*METRICS, *OPTIONAL_METRICS),
        weakest=weakest,
        behavior=list(behavior.values()),
        often=MIN_SHOWN_RATE,
    )
