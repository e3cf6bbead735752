"""Finds repeated keys among more rows than fit in memory.

The keys wait in a file on disk. They are looked at in bands by their leading bits, each small enough to sort in
memory, so that 27 million rows cost 60 MB and not a gigabyte of Python sets.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

KEYS_PER_BAND = 1_000_000


def first_occurrences(keys_file: Path, rows: int) -> NDArray[np.bool_]:
    """Tell for each of `rows` uint64 keys, written raw to `keys_file`, whether it stands there for the first time.

    The keys must be spread evenly over 64 bits, as hashes are. Returns shape (rows,).
    """
    first = np.zeros(rows, dtype=np.bool_)
    if not rows:
        return first
    keys = np.memmap(keys_file, dtype=np.uint64, mode="r", shape=(rows,))
    bits = max(0, (rows // KEYS_PER_BAND).bit_length())
    for band in range(2**bits):
        places = _places_in_band(keys, band, bits)
        _, firsts = np.unique(keys[places], return_index=True)
        first[places[firsts]] = True
    return first


def _places_in_band(keys: NDArray[np.uint64], band: int, bits: int) -> NDArray[np.int64]:
    """Row numbers, ascending, of the keys whose leading `bits` bits are `band`."""
    if not bits:
        return np.arange(len(keys))
    block = KEYS_PER_BAND
    found = [
        start + np.flatnonzero(keys[start : start + block] >> np.uint64(64 - bits) == band)
        for start in range(0, len(keys), block)
    ]
    return np.concatenate(found)
