"""Name the files and folders of the pipeline that commands read; dvc.yaml gives them to the stages."""

from pathlib import Path

from sentiment.common.tables import TEST, VAL

PARAMS = "params.yaml"
SPLIT = Path("data/split")
FEATURES = Path("data/encode")
CLASSIFIER = Path("models/classifier")
PREDICTIONS = {VAL: "data/evaluate/val.parquet", TEST: "data/evaluate/test.parquet"}
ALL_METRICS = "data/evaluate/metrics.json"  # of both splits
METRICS = {VAL: "metrics/val.json", TEST: "metrics/test.json"}
SLICES = {VAL: "metrics/slices.csv", TEST: "metrics/test/slices.csv"}
PLOTS = [
    {VAL: f"metrics/plots/{name}.csv", TEST: f"metrics/test/plots/{name}.csv"}
    for name in ("confusion", "roc", "precision_recall", "calibration", "coverage")
]
BEHAVIOR = "data/check/behavior.json"
SPLIT_METRICS = "metrics/split.json"
HEAD_METRICS = "metrics/train/metrics.json"
ENCODER_METRICS = "metrics/finetune/metrics.json"
