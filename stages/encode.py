"""Compute one feature vector per review with the frozen encoder.

    python -m stages.encode --split data/split --encoder models/encoder --output data/encode

The encoder is frozen, so this is done once: no later stage runs it again. Texts are read in chunks and sorted by length
within a chunk; vectors are written in the order of the reviews, so memory does not grow with their number.

What a killed run has computed stays in a hidden folder beside the output, and the next run goes on from there.

RAY_ADDRESS divides the work over machines, which changes no byte: docs/scale.md.
"""

import argparse
import logging
from collections.abc import Callable
from pathlib import Path

import torch
from tqdm import tqdm

from sentiment.common.command import run_main
from sentiment.common.files import write_text
from sentiment.common.params import StageInputs
from sentiment.common.tables import SPLITS, batches, open_table, split_names
from sentiment.encoder import on_ray
from sentiment.encoder.config import EncodeParams, FeatureMetadata
from sentiment.encoder.features import METADATA, Parts, feature_writer
from sentiment.encoder.frozen import N_COVERED, FrozenEncoder, int8_min_cosine

log = logging.getLogger(__name__)


def encode(table: Path, encoder: FrozenEncoder, output: Path, parts: Parts, on_batch: Callable[[int], object]) -> None:
    """Write the vectors of the column `text` of a Parquet table to an .npy file, row for row."""
    rows = open_table(table).metadata.num_rows
    with feature_writer(output, rows, encoder.dim) as writer:
        for chunk in batches(table, ["text"]):
            texts = chunk["text"].to_pylist()
            if (vectors := parts.read(texts)) is not None:
                on_batch(len(texts))
            else:
                vectors = encoder.encode(texts, on_batch)
                parts.write(texts, vectors)
            writer.write(vectors)


def main() -> None:
    """Read the arguments and inputs, do the work, write the outputs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="settings (default: %(default)s)")
    parser.add_argument("--split", type=Path, required=True, help="the folder of train, val and test tables")
    parser.add_argument("--encoder", type=Path, required=True, help="the folder of the encoder")
    parser.add_argument("--output", type=Path, required=True, help="the folder of feature files to write")
    args = parser.parse_args()

    torch.set_deterministic_debug_mode("error")  # use_deterministic_algorithms imports the compiler, 2 s
    inputs = StageInputs(args.params, "encode", EncodeParams)
    params = inputs.params
    inputs.watch(args.split, args.encoder)
    tables = {name: args.split / f"{name}.parquet" for name in SPLITS}
    total = sum(open_table(path).metadata.num_rows for path in tables.values())
    encoder = FrozenEncoder.load(args.encoder, params.encoder_config(), params.device)
    decides = f"{encoder.fingerprint} {encoder.precision} {encoder.config.model_dump_json()}"
    parts = Parts(args.output.with_name(f".{args.output.name}"), decides, encoder.dim)
    where = "ray" if on_ray.is_requested() else encoder.device.type
    with tqdm(desc=f"encode on {where}", total=total, unit=" reviews", disable=None) as bar:
        if where == "ray":
            on_ray.encode_splits(tables, encoder, params.device, args.output, parts, bar.update)
        else:
            for name, path in tables.items():
                encode(path, encoder, args.output / f"{name}.npy", parts, bar.update)
    about_texts = open_table(tables["train"]).schema_arrow.metadata
    first = next(batches(tables["train"], ["text"], N_COVERED))["text"].to_pylist()
    coverage = encoder.coverage(first)
    metadata = FeatureMetadata(
        config=encoder.config,
        fingerprint=encoder.fingerprint,
        dim=encoder.dim,
        text_columns=split_names(about_texts[b"text_columns"].decode()),
        decode_html=b"decode_html" in about_texts,
        int8_min_cosine=int8_min_cosine(encoder, first),
        coverage=coverage,
    )
    write_text(args.output / METADATA, metadata.model_dump_json(indent=2) + "\n")
    inputs.check_unchanged()
    parts.remove()
    for line in coverage.warnings(encoder.config.max_length):
        log.warning("encode: %s (first %d reviews of train)", line, coverage.texts)
    if parts.n_read:
        log.info("encode: %d reviews were encoded by a run that was interrupted", parts.n_read)
    log.info("encode: %d reviews on %s, %d-dimensional features", total, where, encoder.dim)


if __name__ == "__main__":
    run_main(main)
