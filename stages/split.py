"""Assign prepared reviews to the train, val and test tables by a hash of each text.

    python -m stages.split --reviews data/prepare/reviews.parquet --output data/split --metrics metrics/split.json

A review's split depends on its own text and the salt, and on nothing else. So equal texts are always in the same
split, added rows change no assignment, and the order of rows does not matter.
"""

import argparse
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from sentiment.common.command import run_main
from sentiment.common.errors import InputError
from sentiment.common.files import write_json
from sentiment.common.params import StageInputs
from sentiment.common.tables import SPLITS, batches, open_table, table_writer
from sentiment.data.splitting import SplitParams, assign_split, text_hash

MIN_TRAIN_ROWS = 100  # a head on 512 features overfits fewer rows

log = logging.getLogger(__name__)


def split(
    chunks: Iterator[pa.RecordBatch], schema: pa.Schema, params: SplitParams, output: Path
) -> dict[str, dict[str, float]]:
    """Write `output`/train.parquet, val.parquet and test.parquet, each in the order of the input.

    Returns:
        By split: rows, their share of all rows, and the share of positive reviews.

    Raises:
        InputError: a split is empty or has one class only.
    """
    positive = dict.fromkeys(SPLITS, 0)
    with ExitStack() as stack:
        writers = {name: stack.enter_context(table_writer(output / f"{name}.parquet", schema)) for name in SPLITS}
        for chunk in chunks:
            assigned = pa.array(
                assign_split(text_hash(text, params.salt), params) for text in chunk["text"].to_pylist()
            )
            for name, writer in writers.items():
                selected = chunk.filter(pc.equal(assigned, name))
                positive[name] += pc.sum(selected["label"], min_count=0).as_py()
                writer.write(selected)
        for name, writer in writers.items():
            if positive[name] in (0, writer.rows):
                sizes = f"has {writer.rows} rows, {positive[name]} of them positive"
                raise InputError(
                    f"split: '{name}' {sizes}; expected both classes; change split.val or split.test, or add data"
                )
    total = sum(writer.rows for writer in writers.values())
    return {
        name: {"rows": writer.rows, "share": writer.rows / total, "positive_share": positive[name] / writer.rows}
        for name, writer in writers.items()
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
    inputs.watch(args.reviews)
    table = open_table(args.reviews)
    chunks = tqdm(batches(args.reviews), "split", table.metadata.num_row_groups, unit=" groups", disable=None)
    balance = split(iter(chunks), table.schema_arrow, inputs.params, args.output)
    write_json(args.metrics, balance)
    inputs.check_unchanged()
    if (n_train := int(balance["train"]["rows"])) < MIN_TRAIN_ROWS:
        log.warning(
            "split: warning: only %d rows to train on, expected at least %d; lower val or test, or add data",
            n_train,
            MIN_TRAIN_ROWS,
        )
    log.info("split: %s rows", ", ".join(f"{name} {size['rows']}" for name, size in balance.items()))


if __name__ == "__main__":
    run_main(main)
