"""Run every row of the results tables in a temporary clone; write README's and the encoder card's.

    python -m tools.results --reviews reviews.csv                    what `make results REVIEWS_CSV=...` does
    python -m tools.results --reviews reviews.csv --rows tokens-20   run these, keep what the other rows gave earlier
    python -m tools.results                                          write the tables from the figures of an earlier run

What is run is the commit HEAD, from scratch: no output is taken from a cache. The defaults and the baselines are run in
any case, because every row is compared with TF-IDF on the same reviews. The figures are in metrics/results.json, from
which the tables are written; one run on one commit writes the same figures as another, apart from the times. Rows that
are kept are of the same reviews and of the same code; where they are not, all rows must be run.
"""

import argparse
import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from hashlib import file_digest
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import describe
from sentiment.common.command import run_main
from sentiment.common.errors import InputError
from sentiment.common.files import write_json
from tools.process import CommandError, run
from tools.results.measure import ResultsClone
from tools.results.tables import NOT_RUN, PAGES, Row, read_rows, render, replace_table, select, split_page

RESULTS = Path("metrics/results.json")
# what a row depends on, besides the reviews
CODE = ("dvc.yaml", "params.yaml", "requirements.txt", "sentiment", "stages", "models/encoders")
CARDS = ":!models/encoders/*/README.md"
RUNS = 5  # of a row that is repeated
NEEDS_HUB = "needs the Hugging Face Hub"
log = logging.getLogger("results")


def run_rows(clone: ResultsClone, rows: Sequence[Row], n_runs: int) -> dict[str, Any]:
    """Run the rows of `select` one after another and return their results by name, as JSON can hold them.

    Args:
        n_runs: of each row that is repeated with other splits or seeds, the first one counted.
    """
    machine = describe("cuda" if torch.cuda.is_available() else "cpu")
    commands = list(dict.fromkeys(row.command for row in rows))
    by_command = {command: [row for row in rows if row.command == command] for command in commands}
    results: dict[str, Any] = {}
    unread: list[Row] = []
    for number, command in enumerate(commands, start=1):
        of_command = by_command[command]
        log.info("results: %d of %d: %s", number, len(commands), command)
        try:
            clone.run(of_command[0])
        except CommandError:
            if of_command[0].hub_encoder is None:
                raise
            log.warning("results: %s was not run: %s; see --encoder", of_command[0].name, NEEDS_HUB)
            results[of_command[0].name] = {NOT_RUN: NEEDS_HUB}
            continue
        unread += of_command
        if number > 1:  # the default is read with the baselines, when TF-IDF is there to compare it with
            results |= {row.name: {**clone.read(row), "machine": machine} for row in unread}
            unread = []
    for command in sorted(commands, key=lambda command: by_command[command][0].repeat == "salts"):
        repeated = [row for row in by_command[command] if row.repeat and NOT_RUN not in results[row.name]]
        if repeated and n_runs > 1:
            log.info("results: again, with other %s: %s", repeated[0].repeat, command)
            for name, others in clone.repeat(repeated, n_runs - 1).items():
                first = {metric: results[name]["metrics"][metric] for metric in ("accuracy", "roc_auc")}
                results[name]["repeated"] = [first, *others]
    return results


def same_code(commit: str) -> bool:
    """Return whether what the rows depend on is the same at a commit as at HEAD."""
    try:
        run(Path(), "git", "diff", "--quiet", commit, "HEAD", "--", *CODE, CARDS)
    except CommandError:  # another one, or none that this repository has
        return False
    return True


def measure(
    reviews: Path,
    rows: Sequence[Row],
    encoders: Mapping[str, str],
    earlier: Mapping[str, Mapping[str, Any]],
    n_runs: int,
) -> dict[str, Any]:
    """Run rows in a temporary clone; return their results and the kept ones of earlier runs, by name.

    Raises:
        InputError: there are no reviews; or a row that is not run again is of other reviews or of other code.
    """
    if not reviews.is_file():
        raise InputError(f"{reviews}: no such file; give the CSV of the reviews, as in make results REVIEWS_CSV=...")
    if run(Path(), "git", "status", "--porcelain", "--untracked-files=no").strip():
        log.warning("results: uncommitted changes are left out; these are the results of HEAD")
    commit = run(Path(), "git", "rev-parse", "HEAD").strip()
    with reviews.open("rb") as file:
        origin = {"commit": commit, "reviews": file_digest(file, "sha256").hexdigest()}
    kept = {
        name: result
        for name, result in earlier.items()
        if NOT_RUN in result or (result.get("reviews") == origin["reviews"] and same_code(result["commit"]))
    }
    if others := earlier.keys() - kept.keys() - {row.name for row in rows}:
        raise InputError(
            f"{RESULTS}: {', '.join(sorted(others))}: of other reviews or of other code than the rows to run; "
            "run all rows, without --rows"
        )
    with tempfile.TemporaryDirectory(prefix="results-") as temporary:
        results = run_rows(ResultsClone(Path(), reviews, encoders, Path(temporary) / "clone"), rows, n_runs)
    measured = {name: {**result, **origin} for name, result in results.items() if NOT_RUN not in result}
    return {**results, **kept, **measured}  # figures of an earlier run are better than none


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments (default: the command line's), run the rows, write metrics/results.json and the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--reviews", type=Path, help="CSV with the columns that params.yaml names; without it, nothing runs"
    )
    parser.add_argument("--rows", nargs="+", metavar="ROW", help="default: all")
    parser.add_argument(
        "--encoder", action="append", default=[], metavar="NAME=SOURCE",
        help="take an encoder of models/encoders from a folder or an installed package, and not from the Hub",
    )  # fmt: skip
    parser.add_argument(
        "--runs",
        type=int,
        default=RUNS,
        metavar="N",
        help="of rows that are repeated on other splits, or by other seeds (%(default)s)",
    )
    args = parser.parse_args(arguments)
    for page in PAGES:
        split_page(page)  # fails now and not after an hour
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    if args.reviews:
        encoders = dict(one.partition("=")[::2] for one in args.encoder)
        names = args.rows or [row.name for row in read_rows()]
        results = measure(args.reviews, select(names), encoders, results, args.runs)
        write_json(RESULTS, {row.name: results[row.name] for row in read_rows() if row.name in results})
    elif not results:
        raise InputError(f"{RESULTS}: no such file; give --reviews")
    for page in PAGES:
        replace_table(page, render(page, results))
    log.info("results: %s, %s", RESULTS, ", ".join(map(str, PAGES)))


if __name__ == "__main__":
    run_main(main)
