"""Print the calibration error of a solved head with and without temperature, by five folds of train and val.

Test is not read.

    python -m tools.calibration        of the workspace's split and features, after `dvc repro`
"""

import logging
from pathlib import Path

import numpy as np

from sentiment.common.command import run_main
from sentiment.common.params import read_yaml
from sentiment.common.tables import read_column
from sentiment.data.splitting import SplitParams, assign_folds
from sentiment.encoder.features import read_metadata
from sentiment.evaluation.metrics import calibration_error
from sentiment.experiments.revisions import PARAMS, SPLIT
from sentiment.head.classifier import Classifier, ClassifierConfig
from sentiment.head.features import LabeledFeatures
from stages.train import Params, cross_validate, read_split, solve

FEATURES = Path("data/encode")
FOLDS = SplitParams(salt="reviews-v1", val=0.1, test=0.1, folds=5)
SOLVED = {"solver": "lbfgs", "l2": "auto", "head_layers": 1, "words": False}

log = logging.getLogger("calibration")


def main() -> None:
    """Cross-validate the solved head with each calibration, and print its error over all reviews."""
    logging.getLogger("stages.train").setLevel(logging.WARNING)
    reviews = read_split("train", SPLIT, FEATURES).joined(read_split("val", SPLIT, FEATURES))
    texts = [text for name in ("train", "val") for text in read_column(SPLIT / f"{name}.parquet", "text").to_pylist()]
    folds = assign_folds(texts, FOLDS)
    sections = read_yaml(Path(PARAMS).read_bytes(), PARAMS)
    bins = sections["evaluate"]["calibration_bins"]
    config = ClassifierConfig(features=read_metadata(FEATURES), threshold=0.5)
    for calibration in ("none", "temperature"):
        params = Params(**{**sections["train"], **SOLVED, "calibration": calibration})

        def fit(train: LabeledFeatures, val: LabeledFeatures, params: Params = params) -> Classifier:
            return solve(train, val, params, config, lambda: None, lambda _: None, refits=True)

        probabilities = np.empty(len(folds), np.float32)
        for fold, classifier in enumerate(cross_validate(reviews, folds, fit)):
            probabilities[folds == fold] = classifier.predict_proba(reviews.features[folds == fold])
        error = calibration_error(reviews.labels.astype(np.int8), probabilities, bins)
        log.info("%s: expected calibration error %.4f of %d reviews", calibration, error, len(folds))


if __name__ == "__main__":
    run_main(main)
