"""Log losses and accuracies by epoch or by penalty: DVCLive's metrics, the charts of `dvc plots` and a progress bar.

A stage that trains nothing writes the same files, empty: DVC refuses a stage whose outputs are missing.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from sentiment.common.files import write_csv, write_json

METRICS = "metrics.json"  # DVCLive's
CURVES = ("loss", "accuracy")  # a file each, with both splits, so that `dvc plots` draws them in one chart


@dataclass(frozen=True)
class EpochMetrics:
    """Losses (binary cross-entropy of the label, nats) and accuracies of one epoch, or of one penalty of a path.

    Attributes:
        number: of the epoch or of the penalty, counted from 0.
        improved: whether its validation loss is the lowest so far.
        l2: the penalty; None for an epoch.
    """

    number: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    improved: bool
    l2: float | None = None


@dataclass(frozen=True)
class KeptEpoch:
    """What has the lowest validation loss (nats): an epoch, counted from 0, or a penalty; the other is None."""

    number: int | None
    val_loss: float
    l2: float | None = None


def kept_epoch(metrics: Mapping[str, Any]) -> KeptEpoch | None:
    """Return what a log kept, by the content of its file of metrics; None where nothing was trained."""
    best = metrics.get("best")
    return KeptEpoch(best.get("epoch"), float(best["val_loss"]), best.get("l2")) if best else None


class EpochLog:
    """Takes what training reports; see `epoch_log`.

    Attributes:
        kept: the epoch of the lowest validation loss so far.
    """

    def __init__(self, live: Any, bar: "tqdm[Any]") -> None:
        self.kept: EpochMetrics | None = None
        self.curves: dict[str, list[dict[str, object]]] = {name: [] for name in CURVES}
        self._live = live
        self._bar = bar

    def advance(self, n: int, **shown: float) -> None:
        """Move the progress bar by `n` of its units, and show these numbers beside it."""
        self._bar.set_postfix({name: f"{value:.4f}" for name, value in shown.items()}, refresh=False)
        self._bar.update(n)

    def epoch(self, epoch: EpochMetrics) -> None:
        """Record the metrics of an epoch."""
        for split in ("train", "val"):
            for metric, rows in self.curves.items():
                value = getattr(epoch, f"{split}_{metric}")
                if epoch.l2 is None or epoch.improved:  # of a path, the metrics of the penalty that is kept
                    self._live.log_metric(f"{split}/{metric}", value, plot=False)
                rows.append({"step": epoch.number, "split": split, metric: value})
        if epoch.improved:
            self.kept = epoch
            name, value = ("epoch", epoch.number) if epoch.l2 is None else ("l2", epoch.l2)
            self._live.summary["best"] = {name: value, "val_loss": epoch.val_loss}
        self._live.next_step()


@contextmanager
def epoch_log(folder: Path, description: str, total: int | None, unit: str) -> Iterator[EpochLog]:
    """Yield a log with a progress bar of `total` units; at the end write it to `folder`."""
    from dvclive.live import Live  # a second, for DVC

    with (
        Live(str(folder), dvcyaml=None, save_dvc_exp=False) as live,
        tqdm(desc=description, total=total, unit=f" {unit}", disable=None) as bar,
    ):
        log = EpochLog(live, bar)
        yield log
    for metric, rows in log.curves.items():
        write_csv(folder / f"{metric}.csv", rows)


def write_empty_log(folder: Path) -> None:
    """Write the files of a log of no epoch."""
    write_json(folder / METRICS, {})
    for metric in CURVES:
        write_csv(folder / f"{metric}.csv", [], columns=("step", "split", metric))
