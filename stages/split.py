"""Assign prepared reviews to the train, val and test tables: by a hash of the text, by group, by time, or by a column.

    python -m stages.split --reviews data/prepare/reviews.parquet --output data/split --metrics metrics/split.json

A review's split depends on its own text (or group, or time) and the params, and on nothing else: added rows change no
assignment, and the order of rows does not matter. No text is in two splits: equal texts have equal hashes, and where a
column decides, a review of val or test whose text is also in another split is left out, and counted.

With `folds`, test holds every review, with its fold: `train` trains a classifier for each fold, on the others, and
`evaluate` tests each review by the classifier that did not see it. train and val then share all reviews, too. A text in
several folds, which a group can bring about, stays in the first of them.
"""

import argparse
import logging
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from sentiment.common.command import run_main
from sentiment.common.errors import InputError
from sentiment.common.files import write_json
from sentiment.common.params import StageInputs
from sentiment.common.tables import FOLD, SPLITS, batches, open_table, table_writer
from sentiment.data.splitting import (
    LEFT_OUT,
    TRAIN,
    ColumnSplitter,
    NearDuplicates,
    SplitIndices,
    SplitParams,
    assign_folds,
    leave_out_other_folds,
    leave_out_shared_texts,
    splits_by_text,
)
from sentiment.data.text import hash_texts

MIN_TRAIN_ROWS = 100  # a head on 512 features overfits fewer rows
ADVICE = {
    "text": "change split.val or split.test, or add data",
    "group": "change split.val, split.test or split.salt, or add data",
    "time": "change split.val_from or split.test_from, or add data",
    "column": "change the column, or add data",
}

log = logging.getLogger(__name__)


def assign_by_column(reviews: Path, params: SplitParams) -> tuple[SplitIndices, int]:
    """Return the split of every row, and how many are left out, for their text is in another split or fold.

    Memory is 10 bytes a row, and 32 more, with folds 40, while texts are compared.

    Args:
        reviews: the prepared Parquet file.
        params: which column decides, and how.

    Raises:
        InputError: the table does not have the column, or a row has a value that says no split.
    """
    table = open_table(reviews)
    if params.column_name not in table.schema_arrow.names:
        raise InputError(
            f"{params.key} '{params.column_name}' is not in the prepared table; add it to prepare.slice_columns"
        )
    splits = np.empty(table.metadata.num_rows, np.uint8)
    hashes = np.empty(table.metadata.num_rows, np.uint64)
    folds = np.zeros(table.metadata.num_rows, np.int8)
    splitter, start = ColumnSplitter(params, str(reviews)), 0
    for chunk in batches(reviews, ["text", params.column_name]):
        rows = slice(start, start + chunk.num_rows)
        values = chunk[params.column_name].to_pylist()
        splits[rows] = splitter.assign(values)
        if params.folds:
            folds[rows] = assign_folds(values, params)
        hashes[rows] = hash_texts(chunk["text"].to_pylist())
        start += chunk.num_rows
    splitter.check()
    n_left_out = leave_out_shared_texts(splits, hashes)
    if params.folds:  # test has every fold: what val shares with another split is trained on
        splits[splits == LEFT_OUT] = TRAIN
        n_left_out = leave_out_other_folds(splits, folds, hashes)
    return splits, n_left_out


def with_splits(
    chunks: Iterable[pa.RecordBatch], params: SplitParams, assigned: SplitIndices | None
) -> Iterator[tuple[pa.RecordBatch, list[str], SplitIndices]]:
    """Yield each chunk with its texts and the split of each row: as `assigned` has it, else by the hash of its text."""
    start = 0
    for chunk in chunks:
        if assigned is None:
            texts = chunk["text"].to_pylist()
            yield chunk, texts, splits_by_text(texts, params)
            continue
        splits = assigned[start : start + chunk.num_rows]
        start += chunk.num_rows
        kept = chunk.filter(pa.array(splits != LEFT_OUT))
        yield kept, kept["text"].to_pylist(), splits[splits != LEFT_OUT]


def split(
    chunks: Iterable[tuple[pa.RecordBatch, list[str], SplitIndices]],
    schema: pa.Schema,
    params: SplitParams,
    near_duplicates: NearDuplicates,
    output: Path,
    advice: str,
) -> dict[str, dict[str, float]]:
    """Write `output`/train.parquet, val.parquet and test.parquet, each in the order of the input.

    Args:
        chunks: rows without those that are left out, their texts and their splits.
        schema: of the three tables; with folds, that of test has the column `FOLD`, too.
        params: whether there are folds, and of what.
        near_duplicates: takes the texts, but not with folds, whose tables share reviews.
        output: the folder to write.
        advice: what to do where a split is empty.

    Returns:
        By split: rows, their share of all written rows, and the share of positive reviews.

    Raises:
        InputError: a split or a fold is empty or has one class only.
    """
    positive = dict.fromkeys(SPLITS, 0)
    by_fold = np.zeros((params.folds, 2), np.int64)  # reviews by fold and label
    schemas = dict.fromkeys(SPLITS, schema)
    if params.folds:
        schemas["test"] = schema.append(pa.field(FOLD, pa.int8()))
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(table_writer(output / f"{name}.parquet", one)) for name, one in schemas.items()
        }
        for chunk, texts, assigned in chunks:
            if not params.folds:
                near_duplicates.add(texts, assigned)
            tables = {name: chunk.filter(pa.array(assigned == index)) for index, name in enumerate(SPLITS)}
            if params.folds:
                folds = assign_folds(chunk[params.column_name].to_pylist() if params.column_name else texts, params)
                np.add.at(by_fold, (folds, chunk["label"].to_numpy()), 1)
                tables["train"] = chunk.filter(pa.array(assigned != SPLITS.index("val")))
                tables["test"] = chunk.append_column(pa.field(FOLD, pa.int8()), pa.array(folds))
            for name, selected in tables.items():
                positive[name] += pc.sum(selected["label"], min_count=0).as_py()
                writers[name].write(selected)
        if params.folds and not by_fold.all():
            raise InputError(
                f"split: fold {by_fold.min(axis=1).argmin()} of {params.folds} has one class only; "
                "lower split.folds or add data"
            )
        for name, writer in writers.items():
            if positive[name] in (0, writer.rows):
                sizes = f"has {writer.rows} rows, {positive[name]} of them positive"
                raise InputError(f"split: '{name}' {sizes}; expected both classes; {advice}")
    total = writers["test"].rows if params.folds else sum(writer.rows for writer in writers.values())
    return {
        name: {"rows": writer.rows, "share": writer.rows / total, "positive_share": positive[name] / writer.rows}
        for name, writer in writers.items()
    }


def metrics_of(
    balance: dict[str, dict[str, float]], near_duplicates: NearDuplicates, params: SplitParams, n_left_out: int
) -> dict[str, object]:
    """Return what metrics/split.json holds.

    By split: rows, share, positive_share; without folds, of val and test near_duplicates among near_duplicates_checked.
    Beside them: rows_left_out, and by what the reviews were split.
    """
    by: dict[str, object] = {"split_by": params.by, "folds": params.folds}
    if params.column_name:
        by["split_column"] = params.column_name
    if params.by == "time":
        by |= {"val_from": params.val_from, "test_from": params.test_from}
    near = {
        name: {"near_duplicates_checked": n_checked, "near_duplicates": n_near}
        for name, (n_checked, n_near) in near_duplicates.counts().items()
        if not params.folds
    }
    return {
        **{name: {**sizes, **near.get(name, {})} for name, sizes in balance.items()},
        "rows_left_out": n_left_out,
        **by,
    }


def main() -> None:
    """Read the prepared reviews; write the three tables (Parquet) and their sizes and balance (JSON)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="parameters (default: %(default)s)")
    parser.add_argument("--reviews", type=Path, required=True, help="the prepared Parquet file")
    parser.add_argument("--output", type=Path, required=True, help="the folder of the three tables to write")
    parser.add_argument("--metrics", type=Path, required=True, help="the JSON file of sizes and balance to write")
    args = parser.parse_args()

    inputs = StageInputs(args.params, "split", SplitParams)
    params = inputs.params
    inputs.watch(args.reviews)
    table = open_table(args.reviews)
    assigned, n_left_out = (None, 0) if params.by == "text" else assign_by_column(args.reviews, params)
    near_duplicates = NearDuplicates(table.metadata.num_rows)
    chunks = tqdm(batches(args.reviews), "split", table.metadata.num_row_groups, unit=" groups", disable=None)
    balance = split(
        with_splits(chunks, params, assigned),
        table.schema_arrow,
        params,
        near_duplicates,
        args.output,
        ADVICE[params.by],
    )
    write_json(args.metrics, metrics_of(balance, near_duplicates, params, n_left_out))
    inputs.check_unchanged()
    if (n_train := int(balance["train"]["rows"])) < MIN_TRAIN_ROWS:
        log.warning(
            "split: warning: only %d rows to train on, expected at least %d; lower val or test, or add data",
            n_train,
            MIN_TRAIN_ROWS,
        )
    log.info("split: %s rows", ", ".join(f"{name} {size['rows']}" for name, size in balance.items()))
    if n_left_out:
        where = "another fold" if params.folds else "another split"
        log.info("split: left out %d rows, whose text is also in %s", n_left_out, where)
    if not params.folds:
        log.info(
            "split: %s reviews%s have a near duplicate in train",
            " and ".join(f"{near} of {n} {name}" for name, (n, near) in near_duplicates.counts().items()),
            " of a sample" if near_duplicates.is_sample else "",
        )


if __name__ == "__main__":
    run_main(main)
