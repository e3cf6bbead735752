"""Put experiments side by side: two of them paired by review, with the result in words, or all of them in a table.

    compare(Revision("HEAD"), Revision("workspace"), "val")
    experiments_table(experiments(), width=120)

The order of the table is that of the validation loss: the test reviews are for one look at the end.
"""

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sentiment.common.command import printable
from sentiment.common.errors import InputError, one_line
from sentiment.common.tables import VAL, read_content
from sentiment.evaluation.metrics import Predictions
from sentiment.evaluation.significance import POWER, Comparison, compare_paired, format_p, holm
from sentiment.experiments.revisions import (
    HEAD_METRICS,
    METRICS,
    PREDICTIONS,
    WORKSPACE,
    BaselineRevision,
    Revision,
    dvc_json,
    experiment_refs,
)
from sentiment.head.epoch_log import kept_epoch

N_RESAMPLES, SEED = 10_000, 0  # of the paired bootstrap
PREDICTION_COLUMNS = ("id", "label", "probability", "predicted")
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
    if missing := [name for name in PREDICTION_COLUMNS if name not in table.column_names]:
        raise InputError(
            f"{path} of {revision.name}: column '{missing[0]}' is missing; was it written by another program?"
        )
    return table.select(PREDICTION_COLUMNS).sort_by("id")


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
        raise InputError(
            f"{changed} of the {len(table_a)} {split} reviews have another label in {a} than in {b}: section "
            "prepare of params.yaml differs, which decides what is positive"
        )
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


@dataclass(frozen=True)
class Experiment:
    """One row of `dvc exp show`.

    Attributes:
        name: of the experiment or branch, "workspace", or else the commit's first seven digits.
        started_from: of an experiment, the first seven digits of its commit; empty for what is no experiment.
        params: every value by its full name (`train.epochs`).
        metrics: of the val reviews; empty where the pipeline has not run, or where its `evaluate` scored test alone.
        val_loss: of the epoch that is kept; NaN where nothing was trained.
    """

    name: str
    started_from: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    val_loss: float = math.nan


def experiments() -> list[Experiment]:
    """Return the workspace, the current commit and all experiments with their commits, by growing validation loss."""
    commits = dict.fromkeys(["HEAD", *("".join(ref.split("/")[2:4]) for ref in experiment_refs())])
    shown = dvc_json("exp", "show", *(argument for commit in commits for argument in ("--rev", commit)))
    rows = [row for state in shown for row in _rows(state, started_from="")]
    return sorted(rows, key=lambda row: (math.isnan(row.val_loss), row.val_loss))


def _rows(state: Mapping[str, Any], started_from: str) -> Iterator[Experiment]:
    data = state["data"] or {"params": {}, "metrics": {}}
    metrics = {file: content.get("data") or {} for file, content in data["metrics"].items()}
    epoch = kept_epoch(metrics.get(HEAD_METRICS, {}))
    commit = "" if state["rev"] == WORKSPACE else state["rev"][:7]
    yield Experiment(
        name=state["name"] or commit or WORKSPACE,
        started_from=started_from,
        params={
            name: value for file in data["params"].values() for name, value in flat_params(file.get("data")).items()
        },
        metrics=metrics.get(METRICS[VAL], {}),
        val_loss=epoch.val_loss if epoch else math.nan,
    )
    for group in state["experiments"] or ():
        yield from _rows(group["revs"][0], started_from=commit)


def flat_params(sections: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the values of params.yaml by full name (`train.epochs`)."""
    return {
        f"{section}.{key}": value for section, keys in (sections or {}).items() for key, value in (keys or {}).items()
    }


def changed_params(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the parameters that are not the same in all rows that have any."""
    names = dict.fromkeys(name for params in rows for name in params)
    return [name for name in names if len({repr(params.get(name)) for params in rows if params}) > 1]


MAX_NAME_WIDTH = 40  # characters; git allows longer names, which would leave no width for the params
SHOWN_METRICS = ("accuracy", "roc_auc")
INDENT = "    "  # of params that do not fit beside the numbers


def experiments_table(rows: Sequence[Experiment], width: int) -> str:
    """Return a header and the rows, in lines of at most `width`; params that do not fit follow on their own lines."""
    changed = changed_params([row.params for row in rows])
    has_many_commits = len({row.started_from for row in rows if row.started_from}) > 1
    names = [_shorten(row, has_many_commits) for row in rows]
    name_width = max(map(len, ["experiment", *names]))
    start = f"{{:<{name_width}}}  {{:>8}}  {{:>8}}  {{:>8}}  "
    lines = [start.format("experiment", "val loss", "val acc", "val AUC") + "params that differ"]
    for name, row in zip(names, rows, strict=True):
        numbers = [row.val_loss, *(row.metrics.get(metric, math.nan) for metric in SHOWN_METRICS)]
        prefix = start.format(name, *("-" if math.isnan(number) else f"{number:.4f}" for number in numbers))
        params = printable(", ".join(f"{param} = {row.params[param]}" for param in changed if param in row.params))
        if len(prefix) + len(params) <= width:
            lines.append(prefix + params)
        else:
            lines += [prefix, *textwrap.wrap(params, width, initial_indent=INDENT, subsequent_indent=INDENT)]
    return "\n".join(line.rstrip()[:width] for line in lines)


def _shorten(row: Experiment, with_commit: bool) -> str:
    name = printable(row.name)
    short = name if len(name) <= MAX_NAME_WIDTH else name[: MAX_NAME_WIDTH - 1] + "…"
    return f"{short} on {row.started_from}" if with_commit and row.started_from else short
