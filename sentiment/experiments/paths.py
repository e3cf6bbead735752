"""Name the files and folders of the pipeline that commands read; dvc.yaml gives them to the stages."""

from pathlib import Path

PARAMS = "params.yaml"
SPLIT = Path("data/split")
FEATURES = Path("data/encode")
CLASSIFIER = Path("models/classifier")
PREDICTIONS = "data/evaluate/predictions.parquet"
ALL_METRICS = "data/evaluate/metrics.json"
METRICS = "metrics/evaluate.json"
SLICES = "metrics/slices.csv"
SPLIT_METRICS = "metrics/split.json"
HEAD_METRICS = "metrics/train/metrics.json"
ENCODER_METRICS = "metrics/finetune/metrics.json"
