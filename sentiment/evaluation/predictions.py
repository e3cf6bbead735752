"""Probabilities of the test reviews in; the Parquet file of predictions out, which `sentiment compare` reads."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sentiment.common.files import atomic


def write_predictions(
    path: Path, table: pa.Table, probabilities: NDArray[np.float32], threshold: float, labels: tuple[str, str]
) -> None:
    """Write id, label, probability and predicted label of every test review; the metadata names the labels.

    Args:
        table: with columns id and label, one row per review.
        probabilities: of label 1, shape (n_samples,).
        threshold: a probability of at least this is label 1.
        labels: names of the labels 0 and 1.
    """
    predicted = (probabilities >= threshold).astype(np.int8)
    columns = {"id": table["id"], "label": table["label"], "probability": probabilities, "predicted": predicted}
    with atomic(path) as partial:
        pq.write_table(pa.table(columns, metadata={"labels": "\n".join(labels)}), partial, compression="zstd")
