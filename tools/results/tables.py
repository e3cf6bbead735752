"""Read the rows of the results tables, and write the tables into the pages that have them.

A new row is one more entry of rows.yaml, which says what its keys mean. Rows are run in the order of `select`; the
tables list them in the order of the file.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Literal

import yaml

from sentiment.common.errors import InputError, ParamsError
from sentiment.common.files import write_text
from sentiment.evaluation.significance import ALPHA, format_p, holm
from sentiment.experiments.revisions import TFIDF, WORKSPACE

README, CARD = Path("README.md"), Path("models/encoders/reviews-albert/README.md")
SOURCE = "data/raw/reviews.csv"
DEFAULT = "default"  # the row that makes the split, which all others use
BEGIN = "<!-- results: written by `make results`, do not edit -->"
END = "<!-- end of results -->"
PAGES = (README, CARD)
NOT_RUN = "not_run"  # key of a row's result that has the reason
Results = Mapping[str, Mapping[str, Any]]  # by name of the row; see `measure.Result`


@dataclass(frozen=True)
class Row:
    """One row, with the keys of rows.yaml."""

    name: str
    title: str
    tokens: str
    command: str
    predictions: str = WORKSPACE
    hub_encoder: str | None = None
    repeat: Literal["salts", "seeds"] | None = None
    pages: Sequence[str] = (str(README), str(CARD))


@cache
def read_rows() -> list[Row]:
    """Return all rows in the order of the tables."""
    entries = yaml.safe_load(Path(__file__).with_name("rows.yaml").read_text(encoding="utf-8"))
    return [Row(**entry) for entry in entries]


def select(names: Iterable[str]) -> list[Row]:
    """Return the rows of these names in the order in which they are run: the default first, then the baselines.

    Those are always among them: the default run makes the split, and every row is compared with TF-IDF.

    Raises:
        ParamsError: no row has this name.
    """
    by_name, requested = {row.name: row for row in read_rows()}, set(names)
    if unknown := sorted(requested - by_name.keys()):
        raise ParamsError(f"--rows {unknown[0]}: no such row; expected {', '.join(by_name)}")
    baselines = [row for row in by_name.values() if row.command == by_name[TFIDF].command]
    first = [by_name[DEFAULT], *baselines]
    return [*first, *(row for row in by_name.values() if row.name in requested and row not in first)]


def render(page: Path, results: Results) -> str:
    """Return the table of a page: one line for each of its rows, and what its times were measured on."""
    header = ["", "tokens", "accuracy", "ROC AUC", "val accuracy", "val ROC AUC"]
    header += ["p against TF-IDF (Holm)", "time", "command"]
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    rows = [(row, results.get(row.name, {NOT_RUN: "not yet"})) for row in read_rows() if str(page) in row.pages]
    p_values = {row.name: result["p_value"] for row, result in rows if result.get("p_value") is not None}
    corrected = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    lines += ["| " + " | ".join(_cells(row, result, corrected.get(row.name))) + " |" for row, result in rows]
    repeated = [_repeated(row, result["repeated"]) for row, result in rows if "repeated" in result]
    n_test = f"{results[DEFAULT]['metrics']['rows']:,}"
    machines = "; ".join(dict.fromkeys(result["machine"] for _, result in rows if "machine" in result))
    lines += ["", f"{n_test} test reviews. Times are of the whole command, measured on {machines}."]
    if repeated:
        lines += [
            "",
            "Accuracy over several runs, mean and std; the other rows were run once:",
            "",
            *repeated,
        ]
    return "\n".join(lines)


def _cells(row: Row, result: Mapping[str, Any], p: float | None) -> list[str]:
    cells = [row.title, row.tokens]
    if NOT_RUN in result:
        return [*cells, f"not run: {result[NOT_RUN]}", *["-"] * 5, f"`{row.command}`"]
    metrics, val = result["metrics"], result["val"]
    for name in ("accuracy", "roc_auc"):
        value, low, high = (f"{metrics[name + suffix]:.3f}" for suffix in ("", "_low", "_high"))
        shown = f"**{value}**" if row.name == DEFAULT else value
        cells.append(f"{shown} ({low}-{high})" if low != high else shown)
    cells += [f"{val[name]:.3f}" for name in ("accuracy", "roc_auc")]
    seconds = result["seconds"]
    if p is None:  # TF-IDF itself
        significance = "-"
    else:
        significance = format_p(p)
        significance += f", {result['verdict']}" if p < ALPHA else ""
    duration = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
    return [*cells, significance, duration, f"`{row.command}`"]


def _repeated(row: Row, runs: Sequence[Mapping[str, float]]) -> str:
    """Return a line with mean and std of the accuracy over splits or seeds."""
    values = [one["accuracy"] for one in runs]
    kind = {"salts": "splits", "seeds": "seeds"}[str(row.repeat)]
    return f"- {row.title}: {fmean(values):.3f} ± {stdev(values):.3f}, {len(values)} {kind}"


def replace_table(page: Path, table: str) -> None:
    """Write the table between the markers of a page.

    Raises:
        InputError: the page does not have the two markers.
    """
    before, table_of_page, after = split_page(page)
    if table_of_page.strip() != table.strip():
        write_text(page, f"{before}{BEGIN}\n\n{table}\n\n{END}{after}")


def split_page(page: Path) -> Sequence[str]:
    """Return the text before the markers, between them and after them."""
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    table, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f"{page}: no place for the results; expected the lines '{BEGIN}' and '{END}'")
    return before, table, after
