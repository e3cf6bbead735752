"""Write a classifier for another library: ONNX, sentence-transformers, or transformers.

    sentiment export exported --to onnx                      from token ids to probability in one file, with examples
    sentiment export exported --to onnx --rev main           the classifier of a commit, branch, tag or experiment
    sentiment export exported --to sentence-transformers     the encoder with its pooling
    sentiment export exported --to transformers              for pipeline("text-classification")
    sentiment export exported --to onnx --push ORG/NAME      and upload it to the Hugging Face Hub

The card in the folder has the greatest difference to this project on up to 1,000 reviews of --reviews. A classifier of
transformers sees the first token alone: train one by `dvc exp run -S encode.pooling=cls -S train.words=false`.

An export is outside the promise of equal bytes.
"""

import argparse
import logging
from contextlib import suppress
from pathlib import Path

from sentiment.common.errors import InputError, one_line
from sentiment.common.tables import read_column
from sentiment.experiments.revisions import CLASSIFIER, SPLIT, WORKSPACE, Revision, classifier_folder, is_of_pipeline

N_REVIEWS = 1_000
REVIEWS = SPLIT / "val.parquet"
MODEL_CARD = "models/README.md"

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the folder, the format, the revision and the reviews to compare by."""
    parser.add_argument("output", metavar="FOLDER", type=Path, help="to write; a new one")
    parser.add_argument("--to", choices=["onnx", "sentence-transformers", "transformers"], required=True)
    parser.add_argument("--classifier", type=Path, default=CLASSIFIER, help="its folder (default: %(default)s)")
    parser.add_argument("--rev", default=WORKSPACE, help="take it from this commit, tag or experiment")
    parser.add_argument("--reviews", type=Path, default=REVIEWS, help="a table of split (default: %(default)s)")
    parser.add_argument("--push", metavar="ORG/NAME", help="a model of the Hugging Face Hub, made where it is missing")


def main(args: argparse.Namespace) -> None:
    """Write the folder, and upload it where asked.

    Raises:
        ParamsError: the folder is there already.
        ClassifierError: the format cannot express the classifier.
        InputError: there is no such revision, or the Hub refused the upload.
    """
    from sentiment.export.folder import export  # torch, seconds

    texts = read_column(args.reviews, "text").to_pylist()[:N_REVIEWS] if args.reviews.is_file() else []
    if not texts:
        log.warning("export: %s: no such file; the card has no comparison, see --reviews", args.reviews)
    card = ""
    with suppress(InputError):  # a classifier without one
        if is_of_pipeline(args.classifier):  # of another folder, the card would be about another classifier
            card = Revision(args.rev).read(MODEL_CARD).decode("utf-8")
    with classifier_folder(args.rev, args.classifier) as folder:
        export(folder, args.to, texts, args.output, card)
    log.info("export: wrote %s", args.output)
    if args.push:
        push(args.output, args.push)


def push(folder: Path, name: str) -> None:
    """Upload a folder to the Hugging Face Hub, by the token of `hf auth login` or HF_TOKEN.

    Raises:
        InputError: the Hub refused it, or cannot be reached.
    """
    from huggingface_hub import HfApi

    hub = HfApi()
    try:
        hub.create_repo(name, exist_ok=True)
        commit = hub.upload_folder(repo_id=name, folder_path=folder, commit_message="Export a classifier")
    except Exception as error:  # of its HTTP client, which is no dependency of this project
        raise InputError(f"--push {name}: {one_line(error)}; `hf auth login`, and a name such as ORG/NAME") from None
    log.info("export: %s", commit.commit_url)
