"""Run the command of a row in a clone of the project, and read what the pipeline wrote there."""

import json
import logging
import shlex
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sentiment.common.errors import EncoderError
from sentiment.common.tables import TEST, VAL
from sentiment.encoder.config import check_weights, copy_files
from sentiment.experiments.comparison import compare
from sentiment.experiments.revisions import ALL_METRICS, TFIDF, resolve
from sentiment.finetuning.source import POINTER, check_hash, read_pointer
from tools.process import run
from tools.results.tables import DEFAULT, SOURCE, Row

log = logging.getLogger("results")

ENCODERS = Path("models/encoders")
MAX_SECONDS = 6 * 3600  # of one row: a larger encoder, fine-tuned without a GPU
METRICS = ("rows", "accuracy", "accuracy_low", "accuracy_high", "roc_auc", "roc_auc_low", "roc_auc_high")


class ResultsClone:
    """A clone of the project at HEAD, with the reviews tracked by DVC."""

    def __init__(self, project: Path, reviews: Path, encoders: Mapping[str, str], root: Path) -> None:
        """Clone `project` to `root`, copy the reviews there and commit them.

        Args:
            encoders: folder or installed package that has the encoder, by name of the pointer in models/encoders.

        Raises:
            EncoderError: an encoder is missing, or its weights are not those that the pointer names.
        """
        self.root = root
        run(project, "git", "clone", "--quiet", "--no-hardlinks", str(project.resolve()), str(root))
        for key, value in (("user.name", "results"), ("user.email", "results@localhost"), ("commit.gpgsign", "false")):
            run(root, "git", "config", key, value)
        shutil.copyfile(reviews, root / SOURCE)
        run(root, "dvc", "add", "--quiet", SOURCE)
        for name, source in encoders.items():
            self._place_encoder(self.root / ENCODERS / name, source)
        self._commit("Track the reviews")
        self._seconds: dict[str, float] = {}  # by command, so that rows of one command share one run

    def run(self, row: Row) -> None:
        """Run and time the row's command; the defaults are committed, and later rows start from there.

        Raises:
            CommandError: the command failed; the message names it.
        """
        if self._seconds:
            run(self.root, "git", "reset", "--quiet", "--hard")
            run(self.root, "dvc", "checkout", "--quiet")
        started = time.perf_counter()
        run(self.root, *shlex.split(row.command), quiet=False, max_seconds=MAX_SECONDS)
        self._seconds[row.command] = time.perf_counter() - started
        if row.name == DEFAULT:
            self._commit("Run on the reviews")

    def read(self, row: Row) -> dict[str, Any]:
        """Return what the last run of the workspace, or a baseline, gave; the command of TF-IDF has been run.

        The metrics of METRICS are of the test reviews; `val` has accuracy and roc_auc on val; `p_value` and `verdict`
        ("better", "worse" or "no difference") are of McNemar's exact test against TF-IDF on test, None for TF-IDF
        itself; `seconds` are those of the command.
        """
        revision = resolve(row.predictions, self.root)
        metrics = json.loads(revision.read(ALL_METRICS))
        result: dict[str, Any] = {
            "metrics": {name: metrics[TEST][name] for name in METRICS},
            "val": {name: metrics[VAL][name] for name in ("accuracy", "roc_auc")},
            "p_value": None,
            "verdict": None,
        }
        if row.predictions != TFIDF:
            comparison = compare(resolve(TFIDF, self.root), revision, TEST)
            result |= {"p_value": comparison.p_value, "verdict": comparison.verdict}
        return {**result, "seconds": self._seconds[row.command]}

    def repeat(self, rows: Sequence[Row], n_times: int) -> dict[str, list[dict[str, float]]]:
        """Run the rows of one command, which have been run, with other splits or seeds; return their test metrics.

        Other splits end the comparisons with TF-IDF, so they come last.

        Args:
            n_times: how often they are run again.

        Returns:
            Of each row by name, those of every other run.
        """
        repeated: dict[str, list[dict[str, float]]] = {row.name: [] for row in rows}
        for number in range(1, n_times + 1):
            run(self.root, "git", "reset", "--quiet", "--hard")
            run(self.root, "dvc", "checkout", "--quiet")
            if rows[0].repeat == "salts":
                run(self.root, "dvc", "exp", "run", "--quiet", "-S", f"split.salt=results-{number}", "split")
                run(self.root, *shlex.split(rows[0].command), max_seconds=MAX_SECONDS)
            else:
                command = [*shlex.split(rows[0].command), "-S", f"finetune.seed={number}"]
                run(self.root, *command, quiet=False, max_seconds=MAX_SECONDS)
            for row in rows:
                metrics = json.loads(resolve(row.predictions, self.root).read(ALL_METRICS))[TEST]
                repeated[row.name].append({name: metrics[name] for name in ("accuracy", "roc_auc")})
        return repeated

    def _place_encoder(self, folder: Path, source: str) -> None:
        """Replace a pointer to the Hub by the same encoder from a folder or an installed package."""
        from tools.encoder_folder import model_folder  # torch, seconds

        pointer = read_pointer(folder) if folder.is_dir() else None
        if pointer is None:
            raise EncoderError(f"--encoder {folder.name}={source}: {folder / POINTER} is no file; expected NAME=SOURCE")
        with model_folder(source) as files:
            check_weights(files)
            check_hash(pointer, files, source)
            if pointer.sha256 is None:
                log.warning("results: %s: %s names no hash; the rows are of %s", folder.name, POINTER, source)
            copy_files(files, folder)
        (folder / POINTER).unlink()

    def _commit(self, message: str) -> None:
        run(self.root, "git", "add", "--all")
        run(self.root, "git", "commit", "--quiet", "--allow-empty", "--message", message)
