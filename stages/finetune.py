"""Make the encoder that all later stages use: as it is, from a folder or the Hugging Face Hub, or fine-tuned.

    python -m stages.finetune --split data/split --output models/encoder --log metrics/finetune

With `epochs: 0` the encoder is passed on byte for byte: the frozen case. Above 0 it is trained on the train split, with
a linear head that is dropped afterwards, and the epoch with the lowest validation loss is kept. As an output of DVC the
encoder comes from the cache or from S3 from then on, so that colleagues and CI need neither the Hub nor the time.
"""

import argparse
import logging
from pathlib import Path

from pydantic import ConfigDict

from sentiment.common.command import run_main
from sentiment.common.files import atomic_folder
from sentiment.common.params import StageInputs
from sentiment.encoder.config import PoolingConfig
from sentiment.finetuning.settings import FinetuneParams
from sentiment.finetuning.source import copy_encoder_files
from sentiment.head.epoch_log import write_empty_log

log = logging.getLogger(__name__)


class EncodeParams(PoolingConfig):
    """What fine-tuning takes from section `encode` of params.yaml; the stage `encode` checks the other keys."""

    model_config = ConfigDict(extra="ignore")


def main() -> None:
    """Read the arguments and the encoder, train it where epochs are asked for, and write its folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="settings (default: %(default)s)")
    parser.add_argument("--split", type=Path, required=True, help="the folder of the train and val tables")
    parser.add_argument("--output", type=Path, required=True, help="the folder of the encoder to write")
    parser.add_argument("--log", type=Path, required=True, help="the folder of losses and accuracies to write")
    args = parser.parse_args()

    inputs = StageInputs(args.params, "finetune", FinetuneParams)
    encode = StageInputs(args.params, "encode", EncodeParams)  # an encoder is trained as it is used
    params = inputs.params
    inputs.watch(args.split, Path(params.encoder))
    with atomic_folder(args.output) as partial:
        copy_encoder_files(Path(params.encoder), partial)
        if params.epochs:
            from sentiment.finetuning.run import finetune_folder  # torch and transformers, seconds

            kept = finetune_folder(partial, args.split, params, encode.params, args.log)
            log.info(
                "finetune: kept epoch %d of 0 to %d: val loss %.4f, val accuracy %.4f",
                kept.number, params.epochs - 1, kept.val_loss, kept.val_accuracy,
            )  # fmt: skip
        else:
            write_empty_log(args.log)
            log.info("finetune: %s passed on unchanged", params.encoder)
    inputs.check_unchanged()
    encode.check_unchanged()


if __name__ == "__main__":
    run_main(main)
