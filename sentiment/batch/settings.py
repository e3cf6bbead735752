"""What every unit of a run is labeled with, and the fingerprint by which a later run knows an output of the same."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from sentiment.batch.units import MAX_ROWS
from sentiment.encoder.config import Device
from sentiment.head.classifier import CONFIG, HEAD, Classifier

FORMAT = 1  # of an output; a higher number labels every unit again


@dataclass(frozen=True)
class Settings:
    """Settings of a run that a worker needs.

    Attributes:
        inputs, outputs: folder or s3:// prefix.
        fingerprint: SHA-256 of the classifier and of the other settings that change an output.
        text_columns: columns that are joined into a text.
        threshold: positive from this probability on; None for the classifier's.
        keep_columns: whether all columns of the input are written to the output too.
        device: where to compute.
        threads: of one worker; 0 leaves it to torch.
    """

    inputs: str
    outputs: str
    fingerprint: str
    text_columns: tuple[str, ...]
    threshold: float | None = None
    keep_columns: bool = False
    device: Device = "auto"
    threads: int = 0
    unit_rows: int = MAX_ROWS


def fingerprint(
    folder: Path, text_columns: tuple[str, ...], threshold: float | None = None, keep_columns: bool = False
) -> str:
    """Return the SHA-256 of all that outputs depend on besides their inputs.

    The classifier's config holds the fingerprint of its encoder, so the encoder need not be read here.
    """
    content = {
        "format": FORMAT,
        "files": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (HEAD, CONFIG)},
        "text_columns": text_columns,
        "threshold": threshold,
        "keep_columns": keep_columns,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def make_settings(
    inputs: str,
    outputs: str,
    folder: Path,
    text_columns: tuple[str, ...] = (),
    *,
    threshold: float | None = None,
    keep_columns: bool = False,
    device: Device = "auto",
    threads: int = 0,
    unit_rows: int = MAX_ROWS,
) -> Settings:
    """Return the settings of a run with the classifier in `folder`; `text_columns` are by default those of training.

    Raises:
        ClassifierError: the classifier is missing or damaged.
    """
    columns = text_columns or tuple(Classifier.load(folder).config.features.text_columns)
    return Settings(
        inputs,
        outputs,
        fingerprint(folder, columns, threshold, keep_columns),
        columns,
        threshold,
        keep_columns,
        device,
        threads,
        unit_rows,
    )
