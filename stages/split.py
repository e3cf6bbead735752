"""Prepared reviews in; train, val and test tables out, dealt by a hash of each text.

    python -m stages.split --reviews data/prepare/reviews.parquet --output data/split --metrics metrics/split.json

Nothing but a review's own text and the salt decides where it goes. So equal texts never stand on both sides, added
rows move none, and the order of rows does not matter.
"""

import argparse
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator
from tqdm import tqdm

from sentiment.common.errors import InputError, run
from sentiment.common.files import write_json
from sentiment.common.params import Section, read_section
from sentiment.common.tables import PARTS, batches, open_table, table_writer
from sentiment.data.text import hash64, normalised

log = logging.getLogger(__name__)


class Params(Section):
    """Section `split` of params.yaml."""

    salt: str = Field(min_length=1)
    val: float = Field(gt=0, lt=1)
    test: float = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _leaves_training_rows(self) -> "Params":
        if self.val + self.test >= 1:
            raise ValueError("val + test below 1, or nothing is left to train on")
        return self


def text_hash(text: str, salt: str) -> int:
    """Return the 64-bit hash of the normalised text that decides its part; see `part_of_hash`."""
    return hash64(salt, normalised(text))


def part_of_hash(value: int, params: Params) -> str:
    """Return "train", "val" or "test": the hash over 2**64 is a uniform draw from 0 to 1."""
    draw = value / 2**64
    if draw < params.test:
        return "test"
    return "val" if draw < params.test + params.val else "train"


def split(
    tables: Iterator[pa.RecordBatch], schema: pa.Schema, params: Params, output: Path
) -> dict[str, dict[str, float]]:
    """Write `output`/train.parquet, val.parquet and test.parquet, each in the order of the input.

    Returns:
        By part: rows, the share of all rows, and the share of positive ones.

    Raises:
        InputError: a part came out empty or with one class only.
    """
    positive = dict.fromkeys(PARTS, 0)
    with ExitStack() as stack:
        writers = {part: stack.enter_context(table_writer(output / f"{part}.parquet", schema)) for part in PARTS}
        for batch in tables:
            parts = pa.array(part_of_hash(text_hash(text, params.salt), params) for text in batch["text"].to_pylist())
            for part, writer in writers.items():
                chosen = batch.filter(pc.equal(parts, part))
                positive[part] += pc.sum(chosen["label"], min_count=0).as_py()
                writer.write(chosen)
        for part, writer in writers.items():
            if positive[part] in (0, writer.rows):
                found = f"has {writer.rows} rows, {positive[part]} of them positive"
                raise InputError(
                    f"split: part '{part}' {found}; expected both classes; change split.val or split.test, or add data"
                )
    total = sum(writer.rows for writer in writers.values())
    return {
        part: {"rows": writer.rows, "share": writer.rows / total, "positive_share": positive[part] / writer.rows}
        for part, writer in writers.items()
    }


def main() -> None:
    """Read the arguments and inputs, do the work, write the outputs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="settings (default: %(default)s)")
    parser.add_argument("--reviews", type=Path, required=True, help="the prepared Parquet file")
    parser.add_argument("--output", type=Path, required=True, help="the folder of the three tables to write")
    parser.add_argument("--metrics", type=Path, required=True, help="the JSON file of sizes and balance to write")
    args = parser.parse_args()

    params = read_section(args.params, "split", Params)
    table = open_table(args.reviews)
    rows = tqdm(batches(args.reviews), "split", table.metadata.num_row_groups, unit=" groups", disable=None)
    balance = split(iter(rows), table.schema_arrow, params, args.output)
    write_json(args.metrics, balance)
    log.info("split: %s rows", ", ".join(f"{part} {size['rows']}" for part, size in balance.items()))


if __name__ == "__main__":
    run(main)
