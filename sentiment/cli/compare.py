"""Is experiment B better than A on the test reviews, or is the difference chance?

    python -m sentiment.cli.compare                        HEAD against the workspace
    python -m sentiment.cli.compare main                   a branch against the workspace
    python -m sentiment.cli.compare dusty-kale loamy-fits  two experiments; commits and tags will do as well
    python -m sentiment.cli.compare main workspace --fail-if-worse

Both sets of test predictions come from the DVC cache or else the remote, and are paired by review. Intervals are
those of a paired bootstrap; better or worse is decided by McNemar's exact test on accuracy, at 5 %.
"""

import argparse
import io
import json
import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sentiment.common.errors import InputError, run
from sentiment.evaluation.significance import POWER, Answers, Comparison
from sentiment.tracking.revisions import WORKSPACE, Revision

PREDICTIONS = "data/evaluate/predictions.parquet"
COLUMNS = ("id", "label", "probability", "predicted")


def compare(a: Revision, b: Revision, predictions: str, draws: int, seed: int) -> Comparison:
    """Compare the test predictions of two revisions; see `Comparison`.

    Raises:
        InputError: the predictions are not to be had, or are of different test reviews.
    """
    table_a, table_b = read_predictions(a, predictions), read_predictions(b, predictions)
    labels = paired_labels(a.name, table_a, b.name, table_b)
    return Comparison.of(labels, _answers(table_a), _answers(table_b), draws, seed)


def read_predictions(revision: Revision, path: str) -> pa.Table:
    """Return a revision's test predictions, sorted by review id."""
    try:
        table = pq.read_table(io.BytesIO(revision.read(path)))
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: of {revision.name}, not a Parquet file ({str(error).splitlines()[0]})") from None
    if missing := [name for name in COLUMNS if name not in table.column_names]:
        raise InputError(f"{path}: of {revision.name}, without {', '.join(missing)}; written by another program?")
    return table.select(COLUMNS).sort_by("id")


def paired_labels(a: str, table_a: pa.Table, b: str, table_b: pa.Table) -> NDArray[np.int8]:
    """Return the labels that both tables share, shape (rows,).

    Raises:
        InputError: they hold different reviews, or label them differently.
    """
    advice = "compare only experiments with equal prepare and split settings and data"
    only_a, only_b = (
        pc.sum(pc.invert(pc.is_in(one["id"], other["id"].combine_chunks())), min_count=0).as_py()
        for one, other in ((table_a, table_b), (table_b, table_a))
    )
    if only_a or only_b or len(table_a) != len(table_b):
        sizes = f"{a} has {len(table_a)}, {only_a} of them its own; {b} has {len(table_b)}, {only_b} its own"
        raise InputError(f"{a} and {b} were tested on different reviews ({sizes}); {advice}")
    labels_a, labels_b = table_a["label"].to_numpy(), table_b["label"].to_numpy()
    if changed := int((labels_a != labels_b).sum()):
        raise InputError(f"{a} and {b} label {changed} of the {len(table_a)} test reviews differently; {advice}")
    return np.asarray(labels_a, dtype=np.int8)


def _answers(table: pa.Table) -> Answers:
    return Answers(table["predicted"].to_numpy().astype(np.int8), table["probability"].to_numpy().astype(np.float32))


def sentence(a: str, b: str, comparison: Comparison) -> str:
    """Say in plain words what the comparison found."""
    points = comparison.metrics["accuracy"].difference * 100
    p = "McNemar's exact p " + ("< 0.001" if comparison.p < 0.001 else f"= {comparison.p:.3f}")
    if comparison.verdict != "no difference":
        return f"{b} is {comparison.verdict} than {a}: accuracy {points:+.2f} points, {p}."
    detectable = f"{comparison.detectable * 100:.2f} points or more"
    return (
        f"No difference in accuracy between {a} and {b} that this test set can show ({points:+.2f} points, {p}); "
        f"one of {detectable} would have shown with a probability of {POWER * 100:.0f} %."
    )


def as_text(a: str, b: str, comparison: Comparison) -> str:
    """Lay the comparison out as a table and one sentence."""
    lines = [f"A = {a}, B = {b}: {comparison.rows:,} test reviews", ""]
    lines.append(f"{'':<10}{'A':>8}{'B':>9}{'B - A':>10}   95 % interval of B - A")
    for name, found in comparison.metrics.items():
        bounds = f"{found.low:+.4f} to {found.high:+.4f}"
        lines.append(f"{name:<10}{found.a:>8.4f}{found.b:>9.4f}{found.difference:>+10.4f}   {bounds}")
    only = f"only A right on {comparison.only_a_right:,} reviews, only B on {comparison.only_b_right:,}"
    lines += ["", only, "", sentence(a, b, comparison)]
    return "\n".join(lines)


def main() -> int:
    """Read the arguments, compare, and write the outcome to standard output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = "commit, branch, tag, experiment, or workspace (default: %(default)s)"
    parser.add_argument("a", metavar="A", nargs="?", default="HEAD", help=what)
    parser.add_argument("b", metavar="B", nargs="?", default=WORKSPACE, help=what)
    parser.add_argument("--json", action="store_true", help="write JSON, in full precision")
    parser.add_argument("--fail-if-worse", action="store_true", help="exit with 1 if B is significantly worse than A")
    parser.add_argument("--predictions", default=PREDICTIONS, help="what to compare (default: %(default)s)")
    parser.add_argument("--draws", type=int, default=10_000, help="of the bootstrap (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: %(default)s)")
    args = parser.parse_args()

    comparison = compare(Revision(args.a), Revision(args.b), args.predictions, args.draws, args.seed)
    outcome = {"a": args.a, "b": args.b, **comparison.as_dict(), "sentence": sentence(args.a, args.b, comparison)}
    text = json.dumps(outcome, indent=2) if args.json else as_text(args.a, args.b, comparison)
    sys.stdout.write(f"{text}\n")
    return 1 if args.fail_if_worse and comparison.verdict == "worse" else 0


if __name__ == "__main__":
    run(main)
