"""Define the rows of the results tables, and write the tables into the pages that have them.

A new row is one more entry of ROWS. Rows are run in the order of `select`; the tables list them in the order of ROWS.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sentiment.common.errors import InputError, ParamsError
from sentiment.common.files import write_text
from sentiment.evaluation.significance import ALPHA
from sentiment.experiments.revisions import MAJORITY, TFIDF, TFIDF_FEATURES, WORKSPACE

README, CARD = Path("README.md"), Path("models/encoders/bundled/README.md")
SOURCE = "data/raw/reviews.csv"
DEFAULT = "default"  # the row that makes the split, which all others use
BEGIN = "<!-- results: written by `make results`, do not edit -->"
END = "<!-- end of results -->"
PAGES = (README, CARD)
NOT_RUN = "not_run"  # key of a row's result that has the reason
Results = Mapping[str, Mapping[str, Any]]  # by name of the row; see `measure.Result`


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        name: what `--rows` selects it by.
        title: its first cell.
        tokens: kept of each review; "all", or "-" where no text is read.
        command: run in a clone whose params.yaml has the source of the reviews.
        predictions: a baseline that the command makes, or the workspace.
        hub_encoder: the pointer to the Hugging Face Hub in models/encoders that the command reads; where the Hub cannot
            be reached and no other source is given, the table says so.
        pages: whose tables have the row.
    """

    name: str
    title: str
    tokens: str
    command: str
    predictions: str = WORKSPACE
    hub_encoder: str | None = None
    pages: Sequence[Path] = (README, CARD)


def _pooling(tokens: int, pooling: str) -> Row:
    """Return the row of the bundled encoder with a pooling that is not the default."""
    length = [] if tokens == 128 else [f"-S encode.max_length={tokens}"]
    command = " ".join(["dvc exp run", *length, f"-S encode.pooling={pooling}"])
    return Row(f"{pooling}-{tokens}", f"bundled encoder, {pooling}", str(tokens), command, pages=(CARD,))


BASELINE_COMMAND = "sentiment baseline --features data/encode"
ROWS = (
    Row(MAJORITY, "always positive", "-", BASELINE_COMMAND, MAJORITY),
    Row(TFIDF, "TF-IDF of words and pairs of words, logistic regression", "all", BASELINE_COMMAND, TFIDF),
    Row("tokens-20", "bundled encoder, linear head", "20", "dvc exp run -S encode.max_length=20"),
    Row(DEFAULT, "**bundled encoder, linear head (the defaults)**", "128", f"dvc exp run -S prepare.source={SOURCE}"),
    Row("float32", "bundled encoder in float32, linear head", "128", "dvc exp run -S encode.precision=float32"),
    Row(TFIDF_FEATURES, "its features and TF-IDF side by side", "128 and all", BASELINE_COMMAND, TFIDF_FEATURES),
    Row(
        "distilled",
        "distilled encoder, linear head",
        "128",
        "dvc exp run -S finetune.encoder=models/encoders/distilled -S train.l2=0.2",
    ),
    Row(
        "finetuned",
        "bundled encoder fine-tuned for two epochs, linear head",
        "128",
        "dvc exp run -S finetune.epochs=2 -S train.l2=2",
    ),
    Row(
        "finetuned-minilm",
        "all-MiniLM-L6-v2 fine-tuned for two epochs, linear head",
        "128",
        "dvc exp run -S finetune.encoder=models/encoders/all-MiniLM-L6-v2 -S finetune.epochs=2 "
        "-S finetune.learning_rate=0.00007 -S encode.precision=int16 -S train.l2=5",
        hub_encoder="all-MiniLM-L6-v2",
        pages=(README,),
    ),
    Row(
        "albert-base-v1",
        "albert-base-v1, linear head",
        "128",
        "dvc exp run -S finetune.encoder=models/encoders/albert-base-v1",
        hub_encoder="albert-base-v1",
        pages=(README,),
    ),
    *(_pooling(tokens, pooling) for tokens in (128, 20) for pooling in ("max", "mean", "cls")),
)


def select(names: Iterable[str]) -> list[Row]:
    """Return the rows of these names in the order in which they are run: the default first, then the baselines.

    Those are always among them: the default run makes the split, and every row is compared with TF-IDF.

    Raises:
        ParamsError: no row has this name.
    """
    by_name = {row.name: row for row in ROWS}
    requested = list(names)
    if unknown := [name for name in requested if name not in by_name]:
        raise ParamsError(f"--rows {unknown[0]}: no such row; expected {', '.join(by_name)}")
    baselines = [row for row in ROWS if row.command == BASELINE_COMMAND]
    first = [by_name[DEFAULT], *baselines]
    return [*first, *(row for row in ROWS if row.name in requested and row not in first)]


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
    lines += ["", f"{n_test} test reviews. Times are of the whole command, measured on {machines}."]
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
        return [*cells, f"not run: {result[NOT_RUN]}", *["-"] * (5 if has_val else 3), f"`{row.command}`"]
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
