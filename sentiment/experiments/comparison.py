"""Compare the predictions of two revisions on val or test, paired by review, and say the result in words.

compare(Revision("HEAD"), Revision("workspace"), "val")
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sentiment.common.errors import InputError, one_line
from sentiment.common.tables import read_content
from sentiment.evaluation.metrics import Predictions
from sentiment.evaluation.significance import POWER, Comparison, compare_paired, format_p, holm
from sentiment.experiments.paths import PREDICTIONS
from sentiment.experiments.revisions import BaselineRevision, Revision

N_RESAMPLES, SEED = 10_000, 0  # of the paired bootstrap
COLUMNS = ("id", "label", "probability", "predicted")
ADVICE = "`sentiment compare --shared` compares them by the reviews that both have"
BASELINE_ADVICE = "the baseline was made from another split: run `sentiment baseline` again"


def compare(a: Revision, b: Revision, split: str, shared: bool = False) -> Comparison:
    """Compare the predictions of two revisions; see `Comparison`.

    Args:
        a, b: the revisions.
        split: "val" to choose by, or "test".
        shared: compare the reviews that are in the split in both, where reviews were added or removed between them.

    Raises:
        InputError: the predictions are not available, or are of different reviews, with `shared` of none in both.
    """
    table_a, table_b = read_predictions(a, split), read_predictions(b, split)
    if shared:
        is_in_b, is_in_a = (
            pc.is_in(x["id"], y["id"].combine_chunks()) for x, y in ((table_a, table_b), (table_b, table_a))
        )
        table_a, table_b = table_a.filter(is_in_b), table_b.filter(is_in_a)
        if not len(table_a):
            raise InputError(f"{a.name} and {b.name} have no {split} review in common")
    is_baseline = isinstance(a, BaselineRevision) or isinstance(b, BaselineRevision)
    labels = paired_labels(a.name, table_a, b.name, table_b, split, BASELINE_ADVICE if is_baseline else ADVICE)
    return compare_paired(labels, _predictions(table_a), _predictions(table_b), N_RESAMPLES, SEED)


def read_predictions(revision: Revision, split: str) -> pa.Table:
    """Return a revision's predictions of val or test, sorted by review id."""
    path = PREDICTIONS[split]
    try:
        table = read_content(revision.read_scored(PREDICTIONS, split))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} of {revision.name}: not a Parquet file ({one_line(error)[:200]})") from None
    if missing := [name for name in COLUMNS if name not in table.column_names]:
        raise InputError(
            f"{path} of {revision.name}: column '{missing[0]}' is missing; was it written by another program?"
        )
    return table.select(COLUMNS).sort_by("id")


def paired_labels(
    a: str, table_a: pa.Table, b: str, table_b: pa.Table, split: str, advice: str = ADVICE
) -> NDArray[np.int8]:
    """Return the labels that both tables share, shape (n_samples,).

    Raises:
        InputError: the tables have different reviews, or different labels.
    """
    only_a, only_b = (
        pc.sum(pc.invert(pc.is_in(one["id"], other["id"].combine_chunks())), min_count=0).as_py()
        for one, other in ((table_a, table_b), (table_b, table_a))
    )
    if only_a or only_b or len(table_a) != len(table_b):
        sizes = f"{a} has {len(table_a)}, {only_a} of them only there; {b} has {len(table_b)}, {only_b} only there"
        raise InputError(f"{a} and {b} have different {split} reviews ({sizes}); {advice}")
    labels_a, labels_b = table_a["label"].to_numpy(), table_b["label"].to_numpy()
    if changed := int((labels_a != labels_b).sum()):
        raise InputError(f"{a} and {b} label {changed} of the {len(table_a)} {split} reviews differently; {advice}")
    return np.asarray(labels_a, dtype=np.int8)


def _predictions(table: pa.Table) -> Predictions:
    return Predictions(
        table["probability"].to_numpy().astype(np.float32), table["predicted"].to_numpy().astype(np.int8)
    )


def sentence(a: str, b: str, comparison: Comparison, split: str) -> str:
    """Return the result of the comparison in words, the numbers of the test behind them.

    Args:
        a, b: what the two revisions are called.
        comparison: of B with A.
        split: whose reviews are compared.
    """
    difference = comparison.metrics["accuracy"].difference
    p = format_p(comparison.p_value)
    p = f"McNemar's exact p {p if p.startswith('<') else f'= {p}'}"
    numbers = f"accuracy {difference * 100:+.2f} points, {p}"
    count = f"{abs(difference) * 100:.1f} {'more' if difference > 0 else 'fewer'} of 100 reviews"
    if comparison.verdict != "no difference":
        return f"{b} is {comparison.verdict} than {a}: it labels {count} correctly; unlikely to be chance ({numbers})."
    labels = f"{count} correctly than {a}, which may be chance" if difference else f"as many reviews correctly as {a}"
    return (
        f"{b} labels {labels} ({numbers}). With {comparison.rows:,} {split} reviews, a difference of "
        f"{comparison.min_detectable_difference * 100:.2f} points would be found with a probability of {POWER:.0%}."
    )


def correct_for_many(comparisons: Mapping[str, Comparison]) -> dict[str, Comparison]:
    """Return the comparisons with p values that hold for all of them together (Holm)."""
    corrected = holm([comparison.p_value for comparison in comparisons.values()])
    return {
        name: replace(comparison, p_value=p)
        for (name, comparison), p in zip(comparisons.items(), corrected, strict=True)
    }
