"""Train the head on the features, with its losses and accuracies by epoch.

    python -m stages.train --split data/split --features data/encode --encoder models/encoder --output models/classifier
    --log metrics/train

One linear layer is solved (`solver: lbfgs`) for a path of L2 penalties, of which the one with the lowest validation loss is
kept; its step in the log is its number in the path, the strongest first. `solver: adam` trains by epochs, as the script did
that this project continues, and keeps the epoch with the lowest validation loss; more layers need it.
"""

import argparse
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydantic import Field, model_validator

from sentiment.common.command import run_main
from sentiment.common.errors import ClassifierError
from sentiment.common.params import StageInputs, StageParams
from sentiment.common.tables import read_column
from sentiment.encoder.features import read_features, read_metadata
from sentiment.head.classifier import Classifier, ClassifierConfig, copy_encoder
from sentiment.head.epoch_log import EpochMetrics, epoch_log
from sentiment.head.mlp import Head
from sentiment.head.standardization import mean_and_std
from sentiment.head.training import LabeledFeatures, train_head

log = logging.getLogger(__name__)


class Params(StageParams):
    """Section `train` of params.yaml."""

    solver: Literal["lbfgs", "adam"] = "adam"
    class_weight: ClassWeight = "none"
    seed: int = Field(ge=0)
    head_layers: int = Field(ge=1, le=8)
    hidden_size: int = Field(ge=1, le=4096)  # eight layers of 4,096 take 3 GB with their gradients and averages
    dropout: float = Field(ge=0, lt=1)
    learning_rate: float = Field(gt=0, le=1)  # AdamW moves a weight by up to this in each step
    weight_decay: float = Field(ge=0)
    l2: Annotated[float, Field(ge=0, le=1e6)] | Literal["auto"]
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    threshold: float = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _fits_the_solver(self) -> "Params":
        if self.solver == "adam" and self.l2 == "auto":
            raise ValueError("l2 as a number where solver is adam")
        if self.solver == "lbfgs" and self.head_layers > 1:
            raise ValueError("solver adam where head_layers is above 1: such a loss has many minima")
        return self

    @model_validator(mode="after")
    def _decay_shrinks_weights(self) -> "Params":
        if (decay := self.learning_rate * self.weight_decay) >= 1:
            raise ValueError(
                f"learning_rate * weight_decay below 1, found {decay:g}: each step multiplies by 1 minus it"
            )
        return self


def solve_path(
    train_split: LabeledFeatures,
    val_split: LabeledFeatures,
    params: Params,
    config: ClassifierConfig,
    on_step: Callable[[EpochMetrics], object],
) -> Classifier:
    """Solve one linear layer for each penalty, and return the one of lowest validation loss.

    Args:
        on_step: called with the losses and accuracies for each penalty.

    Raises:
        ClassifierError: train or val has one class only.
    """
    mean, std = mean_and_std(train_split.features)
    train_x, val_x = (StandardizedFeatures(split.features, mean, std) for split in (train_split, val_split))
    penalties = PENALTIES if params.l2 == "auto" else (params.l2,)
    problem = Problem.of(train_x, train_split.labels, params.class_weight)
    *_, solutions = solve(problem, np.array(penalties))
    best: Classifier | None = None
    lowest = math.inf
    for number, penalty in enumerate(penalties):
        layers = solutions.layers(number)
        metrics = (
            *loss_and_accuracy(layers, train_x, train_split.labels), *loss_and_accuracy(layers, val_x, val_split.labels)
        )  # fmt: skip
        step = EpochMetrics(number, *metrics, improved=metrics[2] < lowest)
        if step.improved:
            best, lowest, kept = Classifier(config, mean, std, layers), step.val_loss, (penalty, step)
        on_step(step)
    ...


def train(
    train_split: LabeledFeatures,
    val_split: LabeledFeatures,
    params: Params,
    config: ClassifierConfig,
    on_epoch: Callable[[EpochMetrics], object],
) -> Classifier:
    """Train a head and return it as it was after the epoch of lowest validation loss.

    Args:
        on_epoch: called after every epoch with its losses and accuracies.

    Raises:
        ClassifierError: the validation loss was never a number.
    """
    rng = np.random.default_rng(params.seed)
    hidden = [params.hidden_size] * (params.head_layers - 1)
    head = Head([train_split.features.shape[1], *hidden, 1], rng)
    mean, std = mean_and_std(train_split.features)
    settings = params.model_dump(include={"dropout", "learning_rate", "weight_decay", "l2", "epochs", "batch_size"})
    best: Classifier | None = None
    kept: EpochMetrics | None = None
    with np.errstate(over="ignore", invalid="ignore"):  # a loss that is no number is named below
        for epoch in train_head(head, mean, std, train_split, val_split, rng, **settings):
            if epoch.improved:
                layers = tuple((weight.copy(), bias.copy()) for weight, bias in head.layers)
                best, kept = Classifier(config, mean, std, layers), epoch
            on_epoch(epoch)
    if best is None or kept is None:
        raise ClassifierError(f"training diverged at train.learning_rate {params.learning_rate:g}; try a smaller one")
    log.info(
        "train: kept epoch %d of 0 to %d: val loss %.4f, val accuracy %.4f",
        kept.number, params.epochs - 1, kept.val_loss, kept.val_accuracy,
    )  # fmt: skip
    return best


def read_split(name: str, split: Path, features: Path) -> LabeledFeatures:
    """Read features and labels of "train" or "val"; raises InputError where they do not fit each other."""
    labels = read_column(split / f"{name}.parquet", "label").to_numpy()
    vectors = read_features(features / f"{name}.npy", len(labels))
    return LabeledFeatures(vectors, labels.astype(np.float64))


def main() -> None:
    """Read the arguments and inputs, do the work, write the outputs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="settings (default: %(default)s)")
    parser.add_argument("--split", type=Path, required=True, help="the folder of tables with the labels")
    parser.add_argument("--features", type=Path, required=True, help="the folder of encoded features")
    parser.add_argument("--encoder", type=Path, required=True, help="the folder of the encoder, which is copied")
    parser.add_argument("--output", type=Path, required=True, help="the folder of the classifier to write")
    parser.add_argument("--log", type=Path, required=True, help="the folder of losses and accuracies to write")
    args = parser.parse_args()

    inputs = StageInputs(args.params, "train", Params)
    params = inputs.params
    inputs.watch(args.split, args.features, args.encoder)
    config = ClassifierConfig(features=read_metadata(args.features), threshold=params.threshold)
    train_split, val_split = (read_split(name, args.split, args.features) for name in ("train", "val"))
    with epoch_log(args.log, "train", params.epochs, "epochs") as epochs:

        def on_epoch(epoch: EpochMetrics) -> None:
            epochs.epoch(epoch)
            epochs.advance(1, val_loss=epoch.val_loss, val_accuracy=epoch.val_accuracy)

        classifier = train(train_split, val_split, params, config, on_epoch)
    classifier.save(args.output)
    copy_encoder(args.encoder, args.output)
    inputs.check_unchanged()


if __name__ == "__main__":
    run_main(main)
