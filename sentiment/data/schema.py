"""Build the table of reviews, with id, text, label and rating, from raw columns; find repeated reviews in it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
from numpy.typing import NDArray

from sentiment.common.tables import FOLD, join_names
from sentiment.data.text import format_rating, hash64

ID, TEXT, LABEL, RATING = "id", "text", "label", "rating"
RESERVED_COLUMNS = (ID, TEXT, LABEL, RATING, FOLD)
RATING_TYPES = (pyarrow.int16(), pyarrow.int32(), pyarrow.float64())  # the first that holds all ratings is taken
KEYS_PER_BUCKET = 262_144  # 2 MB of keys; the file is read once per bucket, so smaller buckets cost more reading


def table_schema(
    slice_columns: Sequence[str],
    text_columns: Sequence[str],
    rating_type: pyarrow.DataType = RATING_TYPES[0],
    decode_html: bool = False,
) -> pyarrow.Schema:
    """Return the Arrow schema of a prepared table; its metadata says what the texts were made of."""
    fields = [(ID, pyarrow.string()), (TEXT, pyarrow.string()), (LABEL, pyarrow.int8()), (RATING, rating_type)]
    fields += [(name, pyarrow.string()) for name in slice_columns]
    metadata = {"text_columns": join_names(text_columns)} | ({"decode_html": ""} if decode_html else {})
    return pyarrow.schema(fields, metadata=metadata)


def smallest_rating_type(ratings: pd.Series) -> pyarrow.DataType:
    """Return the first of `RATING_TYPES` that holds every rating exactly."""
    whole = bool((ratings % 1 == 0).all())
    for rating_type in RATING_TYPES[:-1]:
        limits = np.iinfo(rating_type.to_pandas_dtype())
        if whole and ratings.between(limits.min, limits.max).all():
            return rating_type
    return RATING_TYPES[-1]


def build_reviews(texts: Sequence[str], ratings: pd.Series, positive_above: float) -> pd.DataFrame:
    """Return id, text, label (1 is positive) and rating of every row, in order.

    The id is a hash of rating and text: it stays when rows are added, removed or sorted.
    """
    ids = [f"{hash64(format_rating(rating), text):016x}" for rating, text in zip(ratings, texts, strict=True)]
    label = (ratings > positive_above).astype("int8")
    return pd.DataFrame({ID: ids, TEXT: texts, LABEL: label, RATING: ratings}, index=ratings.index)


def first_occurrence_mask(keys_file: Path, rows: int) -> NDArray[np.bool_]:
    """Return for each key whether it is the first of its value. # (rows,)

    Args:
        keys_file: `rows` uint64 keys as raw bytes, evenly distributed over 64 bits, as hashes are.
        rows: number of keys.
    """
    is_first = np.zeros(rows, dtype=np.bool_)
    bits = (rows // KEYS_PER_BUCKET).bit_length()
    for bucket in range(2**bits):
        keys, indices = _read_bucket(keys_file, rows, bucket, bits)
        is_first[indices[np.unique(keys, return_index=True)[1]]] = True
    return is_first


def _read_bucket(keys_file: Path, rows: int, bucket: int, bits: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the keys whose leading `bits` bits equal `bucket`, and their row indices, ascending. # (n,), (n,)"""
    keys, indices = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for start in range(0, rows, KEYS_PER_BUCKET):
        # read, not mapped: the pages of a memory map count as memory of the process
        chunk = np.fromfile(keys_file, np.uint64, KEYS_PER_BUCKET, offset=start * 8)
        selected = np.flatnonzero(chunk >> np.uint64(64 - bits) == bucket) if bits else np.arange(len(chunk))
        keys.append(chunk[selected])
        indices.append(start + selected)
    return np.concatenate(keys), np.concatenate(indices)
