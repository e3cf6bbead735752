"""A test table in; the value of every review by slice out, for `accuracy_by_slice`."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sentiment.common.errors import ParamsError


def slice_values(table: pa.Table, slices: Sequence[str], length_edges: Sequence[int]) -> dict[str, NDArray[Any]]:
    """Return the value of every row by slice, each of shape (n_samples,).

    Args:
        table: with column text, and a column for every slice but "length".
        slices: names of columns, or "length": the number of words.
        length_edges: upper bounds of the bins of "length".

    Raises:
        ParamsError: the table has no such column.
    """
    values = {}
    for name in slices:
        if name == "length":
            words = np.array([len(text.split()) for text in table["text"].to_pylist()])
            values[name] = _length_bins(words, length_edges)
        elif name in table.column_names:
            values[name] = np.array([_slice_name(value) for value in table[name].to_pylist()], dtype=str)
        else:
            available = [column for column in table.column_names if column not in ("id", "text", "label")]
            raise ParamsError(f"evaluate.slices: no column '{name}'; expected length, {', '.join(available)}")
    return values


def _slice_name(value: object) -> str:
    """Return the name of a value; a rating of 0 is a value, an empty or missing text is none."""
    return "(none)" if value is None or value == "" else str(value)


def _length_bins(words: NDArray[np.int64], edges: Sequence[int]) -> NDArray[np.str_]:
    """Return the bin name of each length, such as "1-20 words"."""
    bounds = [0, *sorted(edges)]
    names = [f"{low + 1}-{high} words" for low, high in pairwise(bounds)]
    names.append(f"over {bounds[-1]} words")
    return np.array(names)[np.searchsorted(bounds[1:], words, side="left")]
