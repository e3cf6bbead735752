"""Split tables in; one feature vector per review out, from the frozen encoder.

    python -m stages.encode --split data/split --output data/encode

The encoder is frozen, so this is done once: no later stage runs it again. Texts are read in windows, sorted by length
within one, and their vectors appended in order, so memory does not grow with the number of reviews.
"""

import argparse
import logging
from collections.abc import Callable
from pathlib import Path

import torch
from tqdm import tqdm

from sentiment.encoder.frozen import FrozenEncoder
from sentiment.features.config import Device, EncoderSpec, FeaturesInfo
from sentiment.common.errors import run
from sentiment.features.store import INFO, feature_writer
from sentiment.common.files import write_text
from sentiment.common.params import read_section
from sentiment.common.tables import PARTS, batches, open_table

log = logging.getLogger(__name__)


class Params(EncoderSpec):
    """Section `encode` of params.yaml: the encoder's settings, and where it runs."""

    device: Device

    def spec(self) -> EncoderSpec:
        """Return what decides the vectors, without the device."""
        return EncoderSpec(**self.model_dump(exclude={"device"}))


def encode(table: Path, encoder: FrozenEncoder, output: Path, on_batch: Callable[[int], object]) -> None:
    """Write the vectors of the column `text` of a Parquet table to an .npy file, row for row."""
    rows = open_table(table).metadata.num_rows
    with feature_writer(output, rows, encoder.width) as writer:
        for window in batches(table, ["text"]):
            writer.write(encoder.encode(window["text"].to_pylist(), on_batch))


def main() -> None:
    """Read the arguments and inputs, do the work, write the outputs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="settings (default: %(default)s)")
    parser.add_argument("--split", type=Path, required=True, help="the folder of train, val and test tables")
    parser.add_argument("--output", type=Path, required=True, help="the folder of feature files to write")
    args = parser.parse_args()

    torch.use_deterministic_algorithms(True)
    params = read_section(args.params, "encode", Params)
    tables = {part: args.split / f"{part}.parquet" for part in PARTS}
    total = sum(open_table(path).metadata.num_rows for path in tables.values())
    encoder = FrozenEncoder.load(params.spec(), params.device)
    with tqdm(desc=f"encode on {encoder.device.type}", total=total, unit=" reviews", disable=None) as bar:
        for part, path in tables.items():
            encode(path, encoder, args.output / f"{part}.npy", bar.update)
    columns = open_table(tables["train"]).schema_arrow.metadata[b"text_columns"].decode().split("\n")
    info = FeaturesInfo(
        spec=params.spec(), fingerprint=encoder.fingerprint, width=encoder.width, text_columns=tuple(columns)
    )
    write_text(args.output / INFO, info.model_dump_json(indent=2) + "\n")
    log.info("encode: %d reviews, %d numbers each", total, encoder.width)


if __name__ == "__main__":
    run(main)
