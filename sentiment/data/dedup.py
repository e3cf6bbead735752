"""Finds repeated keys among more rows than fit in memory.

The keys wait in a file on disk. They are looked at in bands by their leading bits, each small enough to sort in
memory, so that 27 million rows cost tens of MB and not a gigabyte of Python sets.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

KEYS_PER_BAND = 262_144


def first_occurrence_mask(keys_file: Path, rows: int) -> NDArray[np.bool_]:
    """Tell for each of `rows` uint64 keys, written raw to `keys_file`, whether it stands there for the first time.

    The keys must be spread evenly over 64 bits, as hashes are. Returns shape (rows,).
    """
    first = np.zeros(rows, dtype=np.bool_)
    bits = (rows // KEYS_PER_BAND).bit_length()
    for band in range(2**bits):
        keys, places = _band(keys_file, rows, band, bits)
        first[places[np.unique(keys, return_index=True)[1]]] = True
    return first


def _band(keys_file: Path, rows: int, band: int, bits: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the keys whose leading `bits` bits are `band`, and their row numbers, ascending."""
    keys, places = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for start in range(0, rows, KEYS_PER_BAND):
        # read, not mapped: pages of a map would count as memory of ours
        block = np.fromfile(keys_file, np.uint64, KEYS_PER_BAND, offset=start * 8)
        chosen = np.flatnonzero(block >> np.uint64(64 - bits) == band) if bits else np.arange(len(block))
        keys.append(block[chosen])
        places.append(start + chosen)
    return np.concatenate(keys), np.concatenate(places)
