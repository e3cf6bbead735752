"""Clean, check and label raw reviews, of any format that `sentiment predict` reads, as a table (Parquet).

    python -m stages.prepare --output data/prepare/reviews.parquet --metrics metrics/prepare.json

Every excluded row is counted by its reason. The rows are read in batches, so memory does not grow with their number.
"""

import argparse
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import Field, model_validator
from tqdm import tqdm

from sentiment.common.command import run_main
from sentiment.common.errors import InputError
from sentiment.common.files import scratch_folder, write_json
from sentiment.common.params import StageInputs
from sentiment.common.tables import TableWriter, batches, table_writer
from sentiment.data.readers import FileFormat, InputBatch, InputColumns, as_string, read_source
from sentiment.data.schema import (
    ID,
    LABEL,
    RATING,
    RATING_TYPES,
    RESERVED_COLUMNS,
    build_reviews,
    first_occurrence_mask,
    smallest_rating_type,
    table_schema,
)
from sentiment.data.text import LENGTH, decode_html
from sentiment.data.values import MAX_UNKNOWN, MISSING_ADVICE, is_no_rating, label_key, parse_ratings, shown_counts

log = logging.getLogger(__name__)


Label = str | bool | int | float  # as params.yaml has it; in CSV each is text
IGNORED = -1.0  # beside 1 for positive and 0 for negative


class Params(FileFormat):
    """Section `prepare` of params.yaml: where the reviews are, and which column says what they are."""

    source: str = Field(min_length=1)
    text_columns: tuple[str, ...] = Field(min_length=1)
    decode_html: bool = False
    rating_column: str | None = Field(default=None, min_length=1)
    rating_min: float = 1
    rating_max: float = 5
    positive_above: float = 3
    drop_ratings: tuple[float, ...] = ()
    label_column: str | None = Field(default=None, min_length=1)
    positive: tuple[Label, ...] = ()
    negative: tuple[Label, ...] = ()
    ignore: tuple[Label, ...] = ()
    on_missing_label: Literal["error", "drop"] = "error"
    slice_columns: tuple[str, ...] = ()

    @property
    def source_column(self) -> str:
        """The column that the labels come from."""
        return str(self.label_column or self.rating_column)

    def expected(self) -> str:
        """Return which labels are expected, for a message."""
        return f"one of {', '.join(repr(value) for value in (*self.positive, *self.negative, *self.ignore))}"

    def label_values(self) -> dict[str, float]:
        """Return 1, 0 or `IGNORED` for each label that params.yaml names, by its `label_key`."""
        named = ((1.0, self.positive), (0.0, self.negative), (IGNORED, self.ignore))
        return {label_key(label): value for value, labels in named for label in labels}

    @model_validator(mode="after")
    def _consistent(self) -> "Params":
        if (self.rating_column is None) == (self.label_column is None):
            raise ValueError("either rating_column or label_column, and null for the other")
        if self.label_column and not (self.positive and self.negative):
            raise ValueError("positive and negative with the values of label_column that mean each")
        keys = [label_key(value) for value in (*self.positive, *self.negative, *self.ignore)]
        if repeated := {key for key in keys if keys.count(key) > 1}:
            raise ValueError(f"positive, negative and ignore without repetition, found {min(repeated)!r} again")
        if not self.rating_min <= self.positive_above < self.rating_max:
            raise ValueError("rating_min <= positive_above < rating_max, or one of the two classes stays empty")
        if clash := set(self.slice_columns) & {*RESERVED_COLUMNS, LENGTH}:
            raise ValueError(f"slice_columns without {', '.join(sorted(clash))}: the pipeline has its own")
        for name, count in Counter(self.slice_columns).items():
            if count > 1:
                raise ValueError(f"slice_columns without duplicates, found '{name}' {count} times")
        return self


def label_batch(
    source: str, batch: InputBatch, params: Params, counts: Counter[str], unknown: Counter[str]
) -> pd.DataFrame:
    """Turn rows into reviews; a row without text or label is left out, and counted.

    Args:
        source: the file's name, for messages.
        batch: rows of it.
        params: which column says what a review is.
        counts: of rows by what became of them, which is added to.
        unknown: of labels that `params` does not name, which is added to.

    Raises:
        InputError: a row is broken, or has a rating that cannot be trusted, or no label where that is an error.
    """
    if problems := batch.problems(source):
        raise InputError(problems[0])
    numbers = range(batch.first, batch.first + len(batch.texts))
    columns = {name: list(map(as_string, values)) for name, values in batch.passthrough.items()}
    raw = pd.DataFrame(columns, index=numbers, dtype="str")
    texts = pd.Series(batch.texts, index=numbers, dtype="str")
    if params.decode_html:
        texts = texts.map(lambda text: decode_html(text).strip())
    texts = texts[texts != ""]
    counts.update(rows=len(raw), empty_text=len(raw) - len(texts), with_text=len(texts))
    written = raw.loc[texts.index, params.source_column]
    if params.on_missing_label == "drop":
        has_none = written.str.strip() == "" if params.label_column else written.map(is_no_rating)
        written = written[~has_none]
    counts["no_label"] += len(texts) - len(written)
    if params.label_column is None:
        ratings = parse_ratings(source, written, params.rating_min, params.rating_max, params.drop_ratings)
        is_ignored, positive_above = ratings.isin(params.drop_ratings), params.positive_above
    else:
        ratings = _read_labels(source, written, params, unknown)
        is_ignored, positive_above = ratings == IGNORED, 0.0
    counts["ignored"] += int(is_ignored.sum())
    ratings = ratings[~is_ignored]
    table = build_reviews(texts[ratings.index].tolist(), ratings, positive_above)
    return table.assign(**{name: raw.loc[table.index, name].tolist() for name in params.slice_columns})


def _read_labels(source: str, written: "pd.Series[str]", params: Params, unknown: Counter[str]) -> "pd.Series[float]":
    """Return 1, 0 or `IGNORED` for each label that `params` names; count the others, and leave them out."""
    if (is_missing := written.str.strip() == "").any():
        raise InputError(
            f"{source}: row {is_missing.idxmax()}, column '{params.label_column}': found '', "
            f"expected {params.expected()}; {MISSING_ADVICE}"
        )
    ratings = written.map(label_key).map(params.label_values()).astype(float)
    unknown.update(written[ratings.isna()].str.strip().str[:40])
    if len(unknown) > MAX_UNKNOWN:
        raise _unknown_labels(params, unknown)
    return ratings.dropna()


def _unknown_labels(params: Params, unknown: Counter[str]) -> InputError:
    """Return the error that lists labels which params.yaml does not name."""
    return InputError(
        f"{params.source}: column '{params.label_column}' has {shown_counts(unknown)}, expected {params.expected()}; "
        "name them in prepare.positive, prepare.negative or prepare.ignore"
    )


def prepare(rows: Iterable[tuple[str, InputBatch]], params: Params, output: Path) -> dict[str, int | float]:
    """Write the reviews with text and label to `output`, without duplicates (same text and rating; the first stays).

    Args:
        rows: with the name of the file that they are from.
        params: which column says what a review is.
        output: the Parquet file to write.

    Returns:
        The number of rows read, excluded by reason, and kept, and the share of positive reviews among the kept ones.

    Raises:
        InputError: a row cannot be trusted, a label is not named, or the kept reviews do not have both classes.
    """
    counts = Counter(dict.fromkeys(["rows", "empty_text", "with_text", "no_label", "ignored", "repeated", "kept"], 0))
    unknown: Counter[str] = Counter()
    # ratings wait as float64 until all are known; the output has the smallest type that holds them
    described = partial(table_schema, params.slice_columns, params.text_columns, decode_html=params.decode_html)
    schema = described(RATING_TYPES[-1])
    rating_types = {RATING_TYPES[0]}
    with scratch_folder(output.parent, "prepare") as folder:
        candidates, keys = folder / "candidates.parquet", folder / "keys.u64"
        with table_writer(candidates, schema) as writer, keys.open("wb") as keys_file:
            for source, batch in rows:
                table = label_batch(source, batch, params, counts, unknown)
                rating_types.add(smallest_rating_type(table[RATING]))
                keys_file.write(np.array([int(key, 16) for key in table[ID]], np.uint64).tobytes())
                for part in pa.Table.from_pandas(table, schema, preserve_index=False).to_batches():
                    writer.write(part)
        if unknown:
            raise _unknown_labels(params, unknown)
        if not counts["rows"]:
            raise InputError(f"{params.source}: has no rows, expected reviews")
        is_first = first_occurrence_mask(keys, writer.rows)
        rating_type = max(rating_types, key=RATING_TYPES.index)
        with table_writer(output, described(rating_type)) as kept:
            positive = _copy_rows(candidates, is_first, kept)
    counts["repeated"] = len(is_first) - kept.rows
    counts["kept"] = kept.rows
    if positive in (0, kept.rows):
        only = "no rows are left" if not kept.rows else f"all rows left are {'positive' if positive else 'negative'}"
        output.unlink()
        rows_by_kind = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise InputError(f"{params.source}: {only}, expected both classes ({rows_by_kind})")
    return {**counts, "positive_share": positive / kept.rows}


def _copy_rows(source: Path, keep: np.ndarray[tuple[int], np.dtype[np.bool_]], writer: TableWriter) -> int:
    """Copy the rows marked in `keep`; return how many of them are positive."""
    start = positive = 0
    for batch in batches(source):
        selected = batch.filter(pa.array(keep[start : start + batch.num_rows]))
        start += batch.num_rows
        positive += pa.compute.sum(selected.column(LABEL), min_count=0).as_py()
        writer.write(selected.cast(writer.schema))
    return positive


def _with_progress_bar(rows: Iterator[tuple[str, InputBatch]]) -> Iterator[tuple[str, InputBatch]]:
    with tqdm(desc="prepare", unit=" rows", unit_scale=True, disable=None) as bar:
        for source, batch in rows:
            yield source, batch
            bar.update(len(batch.texts))


def main() -> None:
    """Read the reviews that `prepare.source` names; write the reviews (Parquet) and the row counts (JSON)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="parameters (default: %(default)s)")
    parser.add_argument("--output", type=Path, required=True, help="the Parquet file to write")
    parser.add_argument("--metrics", type=Path, required=True, help="the JSON file of row counts to write")
    args = parser.parse_args()

    inputs = StageInputs(args.params, "prepare", Params)
    params = inputs.params
    inputs.watch(Path(params.source))
    kept = tuple(dict.fromkeys([params.source_column, *params.slice_columns]))
    rows = read_source(Path(params.source), InputColumns(params.text_columns, kept, with_ids=False), params)
    counts = prepare(_with_progress_bar(rows), params, args.output)
    write_json(args.metrics, counts)
    inputs.check_unchanged()
    log.info(
        "prepare: kept %(kept)d of %(rows)d rows (%(empty_text)d without text, %(no_label)d without label, "
        "%(ignored)d to ignore, %(repeated)d repeated)", counts,
    )  # fmt: skip


if __name__ == "__main__":
    run_main(main)
