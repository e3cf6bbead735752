"""An encoder's folder, or a pointer to one on the Hugging Face Hub, in; the encoder that all later stages use out.

    python -m stages.finetune --output models/encoder

The encoder is passed on byte for byte. As an output of DVC it comes from the cache or from S3 from then on, so that
colleagues and CI need no Hub.
"""

import argparse
import logging
from pathlib import Path

from sentiment.common.command import run_main
from sentiment.common.files import atomic_folder
from sentiment.common.params import load_params
from sentiment.finetuning.settings import FinetuneParams
from sentiment.finetuning.source import copy_encoder_files

log = logging.getLogger(__name__)


def main() -> None:
    """Read the arguments and the encoder, and write its folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="settings (default: %(default)s)")
    parser.add_argument("--output", type=Path, required=True, help="the folder of the encoder to write")
    args = parser.parse_args()

    params = load_params(args.params, "finetune", FinetuneParams)
    with atomic_folder(args.output) as partial:
        copy_encoder_files(Path(params.encoder), partial)
    log.info("finetune: %s passed on unchanged", params.encoder)


if __name__ == "__main__":
    run_main(main)
