"""The log of a training in; the epoch that was kept out."""

import json
from dataclasses import dataclass

from sentiment.common.errors import InputError
from sentiment.tracking.revisions import Revision

HEAD_LOG, ENCODER_LOG = "metrics/train", "metrics/finetune"  # folders, written by DVCLive


@dataclass(frozen=True)
class KeptEpoch:
    """The epoch of the lowest validation loss, counted from 0."""

    number: int
    val_loss: float


def kept_epoch(revision: Revision, log: str) -> KeptEpoch | None:
    """Return the kept epoch by the log in a folder; None where nothing was trained, or there is no such log.

    A baseline has no epochs, a frozen encoder none of fine-tuning, and revisions of version 1.0 no stage for it.
    """
    try:
        best = json.loads(revision.read(f"{log}/metrics.json")).get("best")
    except InputError:
        return None
    return KeptEpoch(int(best["epoch"]), float(best["val_loss"])) if best else None
