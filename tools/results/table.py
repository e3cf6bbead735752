"""Results in, the Markdown table of a page out; it replaces the text between two markers of the page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sentiment.common.errors import InputError
from sentiment.common.files import write_text
from sentiment.evaluation.significance import ALPHA
from tools.results.rows import CARD, DEFAULT, README, ROWS, Row

BEGIN = "<!-- results: written by `make results`, do not edit -->"
END = "<!-- end of results -->"
PAGES = (README, CARD)
NOT_RUN = "not_run"  # key of a row's result that has the reason
Results = Mapping[str, Mapping[str, Any]]  # by name of the row; see `measure.Result`


def render(page: Path, results: Results) -> str:
    """Return the table of a page: one line for each of its rows, and what its times were measured on."""
    has_val = page == CARD
    header = ["", "tokens", "accuracy", "ROC AUC", *(["val accuracy", "val ROC AUC"] if has_val else [])]
    header += ["p against TF-IDF", "time", "command"]
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    rows = {row: results.get(row.name, {NOT_RUN: "not yet"}) for row in ROWS if page in row.pages}
    lines += ["| " + " | ".join(_cells(row, result, has_val)) + " |" for row, result in rows.items()]
    n_test = f"{results[DEFAULT]['metrics']['rows']:,}"
    machines = _machines(rows, results[DEFAULT]["machine"])
    lines += ["", f"{n_test} test reviews. Times are those of the whole command, measured on {machines}."]
    return "\n".join(lines)


def _machines(rows: Mapping[Row, Mapping[str, Any]], usual: str) -> str:
    """Return the machine of the defaults, and which rows were run on another."""
    others: dict[str, list[str]] = {}
    for row, result in rows.items():
        if (machine := result.get("machine", usual)) != usual:
            others.setdefault(machine, []).append(row.title.replace("*", ""))
    return "; ".join([usual, *(f"{', '.join(titles)}: {machine}" for machine, titles in others.items())])


def _cells(row: Row, result: Mapping[str, Any], has_val: bool) -> list[str]:
    cells = [row.title, row.tokens]
    if NOT_RUN in result:
        return [
            *cells,
            f"not run: {result[NOT_RUN]}",
            "-",
            *(["-", "-"] if has_val else []),
            "-",
            "-",
            f"`{row.command}`",
        ]
    metrics, val = result["metrics"], result["val"]
    for name in ("accuracy", "roc_auc"):
        value, low, high = (f"{metrics[name + suffix]:.3f}" for suffix in ("", "_low", "_high"))
        shown = f"**{value}**" if row.name == DEFAULT else value
        cells.append(f"{shown} ({low}-{high})" if low != high else shown)
    cells += [f"{val[name]:.3f}" for name in ("accuracy", "roc_auc")] if has_val else []
    return [*cells, _significance(result), _duration(result["seconds"]), f"`{row.command}`"]


def _significance(result: Mapping[str, Any]) -> str:
    """Return p of McNemar's exact test, and which one is better where it is below `ALPHA`."""
    p = result["p_value"]
    if p is None:
        return "-"
    shown = "< 0.001" if p < 0.001 else f"{p:.3f}"
    return f"{shown}, {result['verdict']}" if p < ALPHA else shown


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


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
