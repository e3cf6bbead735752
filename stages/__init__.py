"""The stages of the pipeline in dvc.yaml, one module each."""

import sys
from importlib.util import find_spec

# the one thing that is done at an import: `python` is the first one of PATH, whatever environment DVC itself runs in
if find_spec("pydantic") is None:
    sys.exit(
        f"error: python is {sys.executable}, which lacks this project's packages; run source .venv/bin/activate, "
        "git restore metrics, and dvc repro again"
    )
