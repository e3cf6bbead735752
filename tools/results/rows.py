"""The rows of the results tables, as data: what is run, and where its test predictions are.

A new row is one more entry. Rows are run in the order of `select`, and the tables list them in the order of ROWS.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sentiment.common.errors import ParamsError
from sentiment.experiments.baseline import MAJORITY, TFIDF, TFIDF_FEATURES
from sentiment.experiments.revisions import WORKSPACE

README, CARD = Path("README.md"), Path("models/encoders/bundled/README.md")
SOURCE = "data/raw/reviews.csv"
DEFAULT = "default"  # the row that makes the split, which all others use


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
        ParamsError: there is no row of such a name.
    """
    by_name = {row.name: row for row in ROWS}
    requested = list(names)
    if unknown := [name for name in requested if name not in by_name]:
        raise ParamsError(f"--rows {unknown[0]}: no such row; expected {', '.join(by_name)}")
    baselines = [row for row in ROWS if row.command == BASELINE_COMMAND]
    first = [by_name[DEFAULT], *baselines]
    return [*first, *(row for row in ROWS if row.name in requested and row not in first)]
