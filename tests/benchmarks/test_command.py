"""The benchmark runs, and its baselines compute the same; how fast is not for tests."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project import ROOT


@pytest.mark.slow
def test_every_precision_is_measured_and_close_to_float32(tmp_path: Path) -> None:
    output = tmp_path / "results.json"
    command = ["-m", "benchmarks", "--only", "bundled", "--texts", "2", "--rounds", "1", "--output", str(output)]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=True)
    rows = {row["baseline"]: row for row in json.loads(output.read_text())["bundled"]}
    assert rows["sentence-transformers"]["least_cosine"] > 0.9999
    for precision, least in (
        ("bfloat16", 0.999),
        ("int8", 0.999),
        ("int8 by float32 products", 0.999),
        ("int16", 0.9999),
    ):
        assert rows[f"this project, {precision}"]["least_cosine"] > least
    static = rows.pop("model2vec")
    assert static["least_cosine"] is None
    assert static["times_sentence_transformers"] > 10
    assert all(0 < row["share_of_matmul"] < 1.5 for row in rows.values())
    assert "| reviews-albert | 128 | this project |" in done.stdout
