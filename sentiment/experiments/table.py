"""List the experiments of the project, whatever commit they started from, the best on val first.

The test reviews are for one look at the end, so the metrics are of val, and the order is by the validation loss of the
epoch that is kept.
"""

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sentiment.common.command import printable
from sentiment.common.tables import VAL
from sentiment.experiments import paths
from sentiment.experiments.revisions import WORKSPACE, dvc_json, experiment_refs
from sentiment.head.epoch_log import kept_epoch


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
    epoch = kept_epoch(metrics.get(paths.HEAD_METRICS, {}))
    commit = "" if state["rev"] == WORKSPACE else state["rev"][:7]
    yield Experiment(
        name=state["name"] or commit or WORKSPACE,
        started_from=started_from,
        params={
            name: value for file in data["params"].values() for name, value in flat_params(file.get("data")).items()
        },
        metrics=metrics.get(paths.METRICS[VAL], {}),
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
METRICS = ("accuracy", "roc_auc")
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
        numbers = [row.val_loss, *(row.metrics.get(metric, math.nan) for metric in METRICS)]
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
