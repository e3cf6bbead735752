"""Train the head on the features, with its losses and accuracies by penalty or by epoch.

    python -m stages.train --split data/split --features data/encode --encoder models/encoder --output models/classifier
    --log metrics/train

`solver: lbfgs` solves one linear layer for a path of L2 penalties, and keeps the one of lowest validation loss; nothing
is random. With `words: true` the layer sees the words of the whole text, too, and with `words: auto` where that gives a
lower validation loss. `solver: adam` trains by epochs and keeps the one of lowest validation loss; more layers need it.

Where `split.folds` put every review into test, a classifier for each fold is trained on the other folds, of which the
next one is val; the folder folds holds them, for `evaluate`. Solved heads, that of all reviews too, are then solved
again on train and val together, with the penalty that was kept.
"""

import argparse
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator
from threadpoolctl import threadpool_limits

from sentiment.common.command import run_main
from sentiment.common.errors import ClassifierError
from sentiment.common.params import StageInputs, StageParams
from sentiment.common.tables import FOLD, LABELS, batches, open_table, read_column
from sentiment.encoder.features import read_features, read_metadata
from sentiment.head.classifier import FOLDS, Classifier, ClassifierConfig, copy_encoder
from sentiment.head.decision import BEST, REACHED, RULE, Rules, decide
from sentiment.head.epoch_log import EpochMetrics, epoch_log
from sentiment.head.features import ClassWeight, LabeledFeatures, mean_and_std
from sentiment.head.mlp import Head
from sentiment.head.solver import PENALTIES, LinearHead, PenaltyPath, Problems, refit, solve_path
from sentiment.head.training import train_head
from sentiment.head.words import Tokens

OnEpoch = Callable[[EpochMetrics], object]

MAX_L2 = 1_000_000
MIN_OF_CLASS = 20  # train or val reviews of a class, below which a head depends on which they are

log = logging.getLogger(__name__)


class Params(StageParams):
    """Section `train` of params.yaml.

    Attributes:
        solver: "lbfgs" for a single linear layer, or "adam", which alone reads the params from seed to batch_size.
        words: whether the words of a text, as n-grams of its token ids, count beside its features (`head.words`); or
            "auto": where the validation loss is lower with them, which takes enough reviews. "adam" has none.
        l2: weight of the penalty l2 / 2 * sum(weights^2) beside the mean loss, or "auto": of a path, the one of lowest
            validation loss.
        class_weight: "balanced" lets both classes weigh as much in the losses.
        threshold: a probability of at least this is "positive"; or a rule by which val chooses it (`decision.Rules`).
        calibration: "temperature" divides the logits by the number that fits val best.
        abstain_precision: the answer is "unsure" between two thresholds, outside which each label has this precision on
            val; null for none.
    """

    solver: Literal["lbfgs", "adam"]
    words: bool | Literal["auto"] = False
    l2: float | Literal["auto"]
    class_weight: ClassWeight
    threshold: float | str
    calibration: Literal["none", "temperature"] = "none"
    abstain_precision: float | None = Field(default=None, gt=0.5, lt=1)
    seed: int = Field(ge=0)
    head_layers: int = Field(ge=1, le=8)
    hidden_size: int = Field(ge=1, le=4096)  # eight layers of 4,096 take 3 GB with their gradients and averages
    dropout: float = Field(ge=0, lt=1)
    learning_rate: float = Field(gt=0, le=1)  # AdamW moves a weight by up to this in each step
    weight_decay: float = Field(ge=0)
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)

    @field_validator("l2", mode="before")
    @classmethod
    def _is_auto_or_a_number(cls, value: object) -> object:
        if value == "auto":
            return value
        if isinstance(value, float | int) and not isinstance(value, bool) and 0 <= value <= MAX_L2:
            return value
        raise ValueError(f"'auto' or a number from 0 to {MAX_L2}")

    @field_validator("threshold", mode="before")
    @classmethod
    def _is_a_probability_or_a_rule(cls, value: object) -> object:
        if isinstance(value, str) and (value in BEST or RULE.fullmatch(value)):
            return value
        if isinstance(value, float | int) and not isinstance(value, bool) and 0 < value < 1:
            return float(value)
        rules = ", ".join([*(repr(rule) for rule in BEST), *(f"'{metric}@0.9'" for metric in REACHED)])
        raise ValueError(f"a number above 0 and below 1, or one of {rules}")

    @property
    def rules(self) -> Rules:
        """What val decides."""
        return Rules(self.threshold, self.calibration == "temperature", self.abstain_precision)

    @model_validator(mode="after")
    def _fits_the_solver(self) -> "Params":
        if self.solver == "adam" and self.words is True:
            raise ValueError("solver lbfgs where words is true, or words false")
        if self.solver == "adam" and self.l2 == "auto":
            raise ValueError("l2 as a number, such as 0, where solver is adam")
        if self.solver == "lbfgs" and self.head_layers > 1:
            raise ValueError("solver adam and l2 as a number where head_layers is above 1")
        return self

    @model_validator(mode="after")
    def _decay_shrinks_weights(self) -> "Params":
        if (decay := self.learning_rate * self.weight_decay) >= 1:
            raise ValueError(
                f"learning_rate * weight_decay below 1, found {decay:g}: each step multiplies by 1 minus it"
            )
        return self


def solve(
    train_split: LabeledFeatures,
    val_split: LabeledFeatures,
    params: Params,
    config: ClassifierConfig,
    on_pass: Callable[[], object],
    on_penalty: OnEpoch,
    *,
    refits: bool = False,
) -> Classifier:
    """Solve a linear head for each penalty, and return it as it is for the one of lowest validation loss.

    Where the splits have tokens, the head sees words, if `params.words` is "auto" only where that is better on val.

    Args:
        on_pass: called after every pass over the train features.
        on_penalty: called for every penalty, the strongest first, with its losses and accuracies.
        refits: whether to solve again on train and val together, after val has decided.

    Raises:
        ClassifierError: no threshold reaches what the params ask for.
    """
    penalties = PENALTIES if params.l2 == "auto" else (params.l2,)
    problems = Problems.of(train_split, val_split, params.class_weight)
    if params.words != "auto" or not train_split.tokens:
        path = solve_path(problems, penalties, on_pass)
    else:
        path, without = solve_with_and_without_words(problems, penalties, on_pass)
        log.info("train: val loss %.4f with words, %.4f without", path.kept.val_loss, without.kept.val_loss)
        if without.kept.val_loss <= path.kept.val_loss:
            path, (train_split, val_split) = without, (replace(one, tokens=None) for one in (train_split, val_split))
    for penalty in path.metrics:
        on_penalty(penalty)
    kept = path.kept
    log.info(
        "train: kept L2 penalty %g%s: val loss %.4f, val accuracy %.4f",
        kept.l2,
        f" of {len(path.metrics)} from {penalties[0]:g} to {path.metrics[-1].l2:g}" if len(penalties) > 1 else "",
        kept.val_loss,
        kept.val_accuracy,
    )
    classifier = linear_classifier(config, path.head)
    decision = decide(classifier, val_split, params.rules)
    if refits:
        path = refit(train_split, val_split, path, params.class_weight)
        classifier = linear_classifier(config, path.head)
    return decision.applied(classifier)


def solve_with_and_without_words(
    problems: Problems, penalties: Sequence[float], on_pass: Callable[[], object]
) -> tuple[PenaltyPath, PenaltyPath]:
    """Return the paths of penalties with words and without, solved side by side: NumPy computes outside Python's lock.

    What ends one of them, such as Ctrl-C, ends the other after its pass.
    """
    ended = Event()

    def on_pass_of_thread() -> None:
        if ended.is_set():
            raise CancelledError
        on_pass()

    with ThreadPoolExecutor(1) as thread:
        without = thread.submit(solve_path, problems.without_words(), penalties, on_pass_of_thread)
        try:
            return solve_path(problems, penalties, on_pass), without.result()
        finally:
            ended.set()


def linear_classifier(config: ClassifierConfig, head: LinearHead) -> Classifier:
    """Return the classifier of a solved head."""
    return Classifier(config, head.mean, head.std, head.layers, head.words)


def train(
    train_split: LabeledFeatures,
    val_split: LabeledFeatures,
    params: Params,
    config: ClassifierConfig,
    on_epoch: OnEpoch,
) -> Classifier:
    """Train a head by epochs, and return it as it was after the one of lowest validation loss.

    Args:
        on_epoch: called after every epoch with its losses and accuracies.

    Raises:
        ClassifierError: the validation loss was never a number, or no threshold reaches what the params ask for.
    """
    rng = np.random.default_rng(params.seed)
    hidden = [params.hidden_size] * (params.head_layers - 1)
    head = Head([train_split.features.shape[1], *hidden, 1], rng)
    mean, std = mean_and_std(train_split.features)
    settings = params.model_dump(
        include={"class_weight", "dropout", "learning_rate", "weight_decay", "l2", "epochs", "batch_size"}
    )
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
    return decide(best, val_split, params.rules).applied(best)


def cross_validate(
    reviews: LabeledFeatures,
    folds: NDArray[np.int8],
    fit: Callable[[LabeledFeatures, LabeledFeatures], Classifier],
) -> Iterator[Classifier]:
    """Yield the classifier of each fold, which sees the other folds: of them, the next one is val.

    Args:
        folds: of each review, from 0, shape (n_samples,).
        fit: trains a classifier on train and val.
    """
    n_folds = int(folds.max()) + 1
    for fold in range(n_folds):
        is_val = folds == (fold + 1) % n_folds
        yield fit(reviews[(folds != fold) & ~is_val], reviews[is_val])


def read_folds(split: Path) -> NDArray[np.int8] | None:
    """Return the fold of each test review; None where the reviews are split once."""
    table = split / "test.parquet"
    return read_column(table, FOLD).to_numpy() if FOLD in open_table(table).schema_arrow.names else None


def read_split(name: str, split: Path, features: Path, encoder: Path | None = None) -> LabeledFeatures:
    """Read features and labels of "train", "val" or "test".

    Args:
        encoder: whose tokens of the texts are read, too; None where words do not count.

    Raises:
        InputError: features and labels do not fit each other.
        EncoderError: the encoder is missing or damaged.
    """
    table = split / f"{name}.parquet"
    labels = read_column(table, "label").to_numpy()
    vectors = read_features(features / f"{name}.npy", len(labels))
    tokens = None
    if encoder is not None:
        tokens = Tokens.read(encoder, (chunk["text"].to_pylist() for chunk in batches(table, ["text"])))
    return LabeledFeatures(vectors, labels.astype(np.float64), tokens)


def warn_of_few(train_split: LabeledFeatures, val_split: LabeledFeatures) -> None:
    """Say where so few reviews have a label that the result depends on which they are."""
    for name, labels in (("train", train_split.labels), ("val", val_split.labels)):
        counts = np.bincount(labels.astype(np.intp), minlength=2)
        if counts.min() < MIN_OF_CLASS:
            log.warning(
                "train: warning: %s has %d %s reviews, expected at least %d: metrics will vary by chance; add data",
                name, counts.min(), LABELS[int(counts.argmin())], MIN_OF_CLASS,
            )  # fmt: skip


def log_decision(config: ClassifierConfig, rules: Rules) -> None:
    """Say what val decided, where it did."""
    if rules.calibrates:
        log.info("train: temperature %.3f", config.temperature)
    if isinstance(rules.threshold, str):
        log.info("train: threshold %g, by %s on val", config.threshold, rules.threshold)
    if config.unsure:
        log.info("train: unsure from %g to below %g", *config.unsure)


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
    config = ClassifierConfig(features=read_metadata(args.features), threshold=0.5)
    adam = params.solver == "adam"
    encoder = args.encoder if params.words and not adam else None  # whose tokens count
    train_split, val_split = (read_split(name, args.split, args.features, encoder) for name in ("train", "val"))
    warn_of_few(train_split, val_split)
    folds = read_folds(args.split)
    # products are small: two threads of BLAS wait for each other longer than they compute
    with (
        threadpool_limits(1, user_api="blas"),
        epoch_log(args.log, "train", params.epochs if adam else None, "epochs" if adam else "passes") as epochs,
    ):

        def fit(
            train_part: LabeledFeatures, val_part: LabeledFeatures, on_epoch: OnEpoch = lambda epoch: None
        ) -> Classifier:
            if adam:
                return train(train_part, val_part, params, config, on_epoch)
            refits = folds is not None
            return solve(train_part, val_part, params, config, lambda: epochs.advance(1), on_epoch, refits=refits)

        def on_epoch(epoch: EpochMetrics) -> None:
            epochs.epoch(epoch)
            if adam:
                epochs.advance(1, val_loss=epoch.val_loss, val_accuracy=epoch.val_accuracy)

        classifier = fit(train_split, val_split, on_epoch)
        of_folds: list[Classifier] = []
        if folds is not None:
            reviews = read_split("test", args.split, args.features, encoder)
            of_folds = list(cross_validate(reviews, folds, fit))
    if encoder is not None:
        log.info(
            "train: %d n-grams count beside the features", len(classifier.words.weights) if classifier.words else 0
        )
    log_decision(classifier.config, params.rules)
    for number, one in enumerate(of_folds):
        one.save(args.output / FOLDS / str(number))
    classifier.save(args.output)
    copy_encoder(args.encoder, args.output)
    inputs.check_unchanged()


if __name__ == "__main__":
    run_main(main)
