"""Clean, check and label raw reviews (CSV) as a table (Parquet).

    python -m stages.prepare --output data/prepare/reviews.parquet --metrics metrics/prepare.json

Every excluded row is counted by its reason. The file is read in chunks, so memory does not grow with its size.
"""

import argparse
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import Field, model_validator
from tqdm import tqdm

from sentiment.common.command import run_main
from sentiment.common.errors import InputError
from sentiment.common.files import scratch_folder, write_json
from sentiment.common.params import StageInputs, StageParams
from sentiment.common.tables import TableWriter, batches, table_writer
from sentiment.data.csv_reader import read_chunks
from sentiment.data.schema import (
    ID,
    LABEL,
    RATING,
    RATING_TYPES,
    RESERVED_COLUMNS,
    TEXT,
    build_reviews,
    first_occurrence_mask,
    parse_ratings,
    smallest_rating_type,
    table_schema,
)
from sentiment.data.text import LENGTH

log = logging.getLogger(__name__)


class Params(StageParams):
    """Section `prepare` of params.yaml."""

    source: str = Field(min_length=1)
    text_columns: tuple[str, ...] = Field(min_length=1)
    rating_column: str = Field(min_length=1)
    rating_min: float
    rating_max: float
    positive_above: float
    drop_ratings: tuple[float, ...]
    slice_columns: tuple[str, ...]

    @model_validator(mode="after")
    def _consistent(self) -> "Params":
        if not self.rating_min <= self.positive_above < self.rating_max:
            raise ValueError("rating_min <= positive_above < rating_max, or one of the two classes stays empty")
        if clash := set(self.slice_columns) & {*RESERVED_COLUMNS, LENGTH}:
            raise ValueError(f"slice_columns without {', '.join(sorted(clash))}: the pipeline has its own")
        for name, count in Counter(self.slice_columns).items():
            if count > 1:
                raise ValueError(f"slice_columns without duplicates, found '{name}' {count} times")
        return self


def label_chunk(raw: pd.DataFrame, source: str, params: Params) -> pd.DataFrame:
    """Turn raw rows into reviews; raises InputError on a rating that cannot be trusted."""
    ratings = parse_ratings(source, raw[params.rating_column], params.rating_min, params.rating_max)
    table = build_reviews(raw, ratings, list(params.text_columns), params.positive_above)
    return table.assign(**{name: raw[name] for name in params.slice_columns})


def prepare(chunks: Iterator[pd.DataFrame], params: Params, output: Path) -> dict[str, int | float]:
    """Write the reviews with text to `output`, without duplicates (same text and rating; the first stays).

    Args:
        chunks: raw rows as strings, indexed by row number.

    Returns:
        The number of rows read, excluded by reason, and kept, and the share of positive reviews among the kept ones.

    Raises:
        InputError: a row cannot be trusted, or the kept reviews do not have both classes.
    """
    counts = dict.fromkeys(["rows", "empty_text", "with_text", "dropped_rating", "repeated", "kept"], 0)
    # ratings wait as float64 until all are known; the output has the smallest type that holds them
    schema = table_schema(params.slice_columns, params.text_columns, RATING_TYPES[-1])
    rating_types = {RATING_TYPES[0]}
    with scratch_folder(output.parent, "prepare") as folder:
        candidates, keys = folder / "candidates.parquet", folder / "keys.u64"
        with table_writer(candidates, schema) as writer, keys.open("wb") as keys_file:
            for raw in chunks:
                table = label_chunk(raw, params.source, params)
                counts["rows"] += len(table)
                table = table[table[TEXT] != ""]
                counts["with_text"] += len(table)
                table = table[~table[RATING].isin(params.drop_ratings)]
                rating_types.add(smallest_rating_type(table[RATING]))
                keys_file.write(_as_uint64(table[ID]).tobytes())
                writer.write(pa.RecordBatch.from_pandas(table, schema, preserve_index=False))
        is_first = first_occurrence_mask(keys, writer.rows)
        rating_type = max(rating_types, key=RATING_TYPES.index)
        with table_writer(output, table_schema(params.slice_columns, params.text_columns, rating_type)) as kept:
            positive = _copy_rows(candidates, is_first, kept)
    counts["empty_text"] = counts["rows"] - counts["with_text"]
    counts["dropped_rating"] = counts["with_text"] - len(is_first)
    counts["repeated"] = len(is_first) - kept.rows
    counts["kept"] = kept.rows
    if positive in (0, kept.rows):
        only = "no rows are left" if not kept.rows else f"all rows left are {'positive' if positive else 'negative'}"
        output.unlink()
        raise InputError(f"{params.source}: {only}, expected both classes ({_format_counts(counts)})")
    return {**counts, "positive_share": positive / kept.rows}


def _as_uint64(ids: pd.Series) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.array([int(key, 16) for key in ids], dtype=np.uint64)


def _copy_rows(source: Path, keep: np.ndarray[tuple[int], np.dtype[np.bool_]], writer: TableWriter) -> int:
    """Copy the rows marked in `keep`; return how many of them are positive."""
    start = positive = 0
    for batch in batches(source):
        selected = batch.filter(pa.array(keep[start : start + batch.num_rows]))
        start += batch.num_rows
        positive += pa.compute.sum(selected.column(LABEL), min_count=0).as_py()
        writer.write(selected.cast(writer.schema))
    return positive


def _format_counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _with_progress_bar(chunks: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    with tqdm(desc="prepare", unit=" rows", unit_scale=True, disable=None) as bar:
        for raw in chunks:
            yield raw
            bar.update(len(raw))


def main() -> None:
    """Read the CSV file that `prepare.source` names; write the reviews (Parquet) and the row counts (JSON)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="parameters (default: %(default)s)")
    parser.add_argument("--output", type=Path, required=True, help="the Parquet file to write")
    parser.add_argument("--metrics", type=Path, required=True, help="the JSON file of row counts to write")
    args = parser.parse_args()

    inputs = StageInputs(args.params, "prepare", Params)
    params = inputs.params
    inputs.watch(Path(params.source))
    columns = list(dict.fromkeys([*params.text_columns, params.rating_column, *params.slice_columns]))
    counts = prepare(_with_progress_bar(read_chunks(Path(params.source), columns)), params, args.output)
    write_json(args.metrics, counts)
    inputs.check_unchanged()
    log.info("prepare: kept %(kept)d of %(rows)d rows (%(empty_text)d without text, %(repeated)d repeated)", counts)


if __name__ == "__main__":
    run_main(main)
