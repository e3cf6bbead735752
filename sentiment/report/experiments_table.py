"""The table of experiments as text: name, accuracy, AUC, and the params that are not the same in all rows."""

import textwrap
from collections.abc import Sequence

from sentiment.report.experiments import Experiment, changed_params

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
