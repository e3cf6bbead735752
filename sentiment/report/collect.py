"""Everything that the report shows of one or two revisions."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sentiment.common.errors import InputError
from sentiment.evaluation.significance import Comparison
from sentiment.report.experiments import METRICS_FILE, Experiment, changed_params, experiments
from sentiment.report.mistakes import Mistake, confident_mistakes, local_texts
from sentiment.report.plots import Picture, pictures
from sentiment.tracking.comparison import PREDICTIONS, compare, read_predictions, sentence
from sentiment.tracking.revisions import Revision

SLICES_FILE = "metrics/slices.csv"
TEST_TABLE = Path("data/split/test.parquet")
MAX_MISTAKES = 10  # of each revision
DRAWS, SEED = 10_000, 0  # of the paired bootstrap, as `python -m sentiment.cli.compare` has them

Slices = Mapping[tuple[str, str], Mapping[str, float]]


@dataclass(frozen=True)
class State:
    """One revision: its test metrics, its slices by (slice, value), and its surest mistakes."""

    name: str
    metrics: Mapping[str, float]
    slices: Slices
    mistakes: Sequence[Mistake]


@dataclass(frozen=True)
class Content:
    """What the page shows; `comparison` is None for one revision, or for two that cannot be compared."""

    states: Sequence[State]
    comparison: Comparison | None
    verdict: str
    experiments: Sequence[Experiment]
    changed: Sequence[str]
    pictures: Sequence[Picture]
    texts: Mapping[str, str]


def collect(names: Sequence[str]) -> Content:
    """Read everything that the report shows of one or two revisions.

    Raises:
        InputError: a revision, or one of its files, is not to be had.
    """
    revisions = [Revision(name) for name in names]
    states = [_state(revision) for revision in revisions]
    comparison, verdict = _comparison(revisions)
    rows = experiments()
    return Content(
        states=states,
        comparison=comparison,
        verdict=verdict,
        experiments=rows,
        changed=changed_params(rows),
        pictures=pictures(names),
        texts=local_texts(TEST_TABLE, {mistake.id for state in states for mistake in state.mistakes}),
    )


def _state(revision: Revision) -> State:
    return State(
        name=revision.name,
        metrics=json.loads(revision.read(METRICS_FILE)),
        slices=_slices(revision.read(SLICES_FILE).decode()),
        mistakes=confident_mistakes(read_predictions(revision, PREDICTIONS), MAX_MISTAKES),
    )


def _slices(table: str) -> Slices:
    numbers = ("rows", "accuracy", "accuracy_low", "accuracy_high")
    return {
        (row["slice"], row["value"]): {name: float(row[name]) for name in numbers}
        for row in csv.DictReader(io.StringIO(table))
    }


def _comparison(revisions: Sequence[Revision]) -> tuple[Comparison | None, str]:
    """Return the comparison and its sentence, or why there is none: different reviews can stand side by side."""
    if len(revisions) == 1:
        return None, ""
    a, b = revisions
    try:
        comparison = compare(a, b, PREDICTIONS, DRAWS, SEED)
    except InputError as refusal:
        return None, f"Not compared: {refusal}."
    return comparison, sentence(a.name, b.name, comparison)
