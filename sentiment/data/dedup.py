"""A file of more keys than fit in memory in; for each key whether it occurs for the first time out.

The keys are sorted in buckets, one bucket at a time. A bucket holds the keys with the same leading bits, so all copies
of a key are in one bucket. 27 million keys take tens of MB of memory; a Python set of them takes more than 1 GB.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

KEYS_PER_BUCKET = 262_144  # 2 MB of keys; the file is read once per bucket, so smaller buckets cost more reading


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
