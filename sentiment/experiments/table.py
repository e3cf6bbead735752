"""The table of experiments: params and metrics of each row of `dvc exp show`."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sentiment.experiments.revisions import commit_subject, dvc_json

METRICS_FILE = "metrics/evaluate.json"


@dataclass(frozen=True)
class Experiment:
    """One row of `dvc exp show`.

    Attributes:
        name: of the experiment or branch, "workspace", or else the commit's first seven digits.
        subject: of the commit; empty for the workspace and for an experiment.
        derived: whether it is an experiment on top of the commit above it.
        params: every value by its full name (`train.epochs`).
        metrics: of the test reviews; empty where the pipeline has not run.
    """

    name: str
    subject: str
    derived: bool
    params: Mapping[str, Any]
    metrics: Mapping[str, float]


def experiments() -> list[Experiment]:
    """Return the workspace, the current commit and the experiments on top of it, as `dvc exp show` does."""
    return [row for baseline in dvc_json("exp", "show") for row in _rows(baseline, derived=False)]


def _rows(state: Mapping[str, Any], derived: bool) -> Iterator[Experiment]:
    data = state["data"] or {"params": {}, "metrics": {}}
    params = {
        f"{section}.{key}": value
        for file in data["params"].values()
        for section, keys in (file.get("data") or {}).items()
        for key, value in keys.items()
    }
    metrics = (data["metrics"].get(METRICS_FILE) or {}).get("data") or {}
    commit = "" if state["rev"] == "workspace" else state["rev"][:7]
    subject = commit_subject(state["rev"]) if commit and not derived else ""
    yield Experiment(state["name"] or commit or state["rev"], subject, derived, params, metrics)
    for group in state["experiments"] or ():
        yield from _rows(group["revs"][0], derived=True)


def changed_params(rows: list[Experiment]) -> list[str]:
    """Return the names of the parameters that are not the same in all rows."""
    names = dict.fromkeys(name for row in rows for name in row.params)
    return [name for name in names if len({repr(row.params.get(name)) for row in rows if row.params}) > 1]


MAX_WIDTH = 160  # characters; DVC's own table grows with every param
MAX_NAME_WIDTH = 40  # characters; git allows longer names, which would leave no width for the params
METRICS = ("accuracy", "roc_auc")


def experiments_table(rows: Sequence[Experiment]) -> str:
    """Return a header and the rows; no line is longer than `MAX_WIDTH`, params continue on lines of their own."""
    changed = changed_params(list(rows))
    names = [("  " if row.derived else "") + _shorten(row.name) for row in rows]
    name_width = max(map(len, ["experiment", *names]))
    start = f"{{:<{name_width}}}  {{:>8}}  {{:>8}}  "
    header = start.format("experiment", "accuracy", "AUC") + "params that differ"
    lines = [header]
    for name, row in zip(names, rows, strict=True):
        accuracy, auc = (f"{row.metrics[metric]:.4f}" if metric in row.metrics else "-" for metric in METRICS)
        prefix = start.format(name, accuracy, auc)
        params = ", ".join(f"{param} = {row.params[param]}" for param in changed if param in row.params)
        wrapped = textwrap.wrap(
            params, MAX_WIDTH, initial_indent=prefix, subsequent_indent=" " * len(prefix), break_on_hyphens=False
        )
        lines += wrapped or [prefix]
    return "\n".join(line.rstrip() for line in lines)


def _shorten(name: str) -> str:
    return name if len(name) <= MAX_NAME_WIDTH else name[: MAX_NAME_WIDTH - 1] + "…"
