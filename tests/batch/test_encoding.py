"""Units of a split's table, and the workers that encode them."""

from pathlib import Path

import numpy as np
import pytest

from sentiment.batch.encoding import EncodingSettings, encoding_job
from sentiment.batch.split_encoding import encode_splits
from sentiment.batch.storage import FileInfo
from sentiment.batch.units import Part, Unit
from sentiment.batch.work import Reply, load_worker
from sentiment.common.params import load_params
from sentiment.common.tables import SPLITS
from sentiment.encoder.config import EncodeParams
from sentiment.encoder.frozen import FrozenEncoder
from tests.project import Project


@pytest.fixture
def encoder(completed_template: Project) -> FrozenEncoder:
    """The encoder of a project, with the settings of its stage."""
    params = load_params(completed_template.root / "params.yaml", "encode", EncodeParams)
    return FrozenEncoder.load(completed_template.root / "models/encoder", params.encoder_config(), "cpu")


def test_two_workers_write_each_vector_to_its_row(
    completed_template: Project, encoder: FrozenEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTIMENT_ENGINE", "local")
    tables = {split: completed_template.root / f"data/split/{split}.parquet" for split in SPLITS}
    counted: list[int] = []
    encode_splits(tables, encoder, "cpu", tmp_path, counted.append, workers=2, unit_rows=100)
    features = completed_template.root / "data/encode"
    for split in SPLITS:
        assert (tmp_path / f"{split}.npy").read_bytes() == (features / f"{split}.npy").read_bytes()
    assert sum(counted) == sum(len(np.load(features / f"{split}.npy")) for split in SPLITS)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{split}.npy" for split in SPLITS)


def test_a_worker_on_another_machine_needs_no_file_of_the_driver(encoder: FrozenEncoder) -> None:
    settings = EncodingSettings(encoder.folder, encoder.config, encoder.fingerprint, "cpu")
    worker = load_worker(encoding_job(settings, threads=0), encoder.folder)
    assert not isinstance(worker, Reply)
    unit = Unit(FileInfo("nowhere/train.parquet", 1, ""), "train", 0, Part(0, 2, 1, 2))
    reply = Reply.from_mapping(worker.run(unit, payload=["Soft and warm", "Too big"]).as_mapping())
    assert reply.vectors is not None
    assert reply.vectors.tobytes() == encoder.encode(["Soft and warm", "Too big"]).tobytes()
    missing = worker.run(unit)
    assert (missing.outcome, missing.reason) == ("fatal", "nowhere/train.parquet: no such file or directory")


def test_a_worker_that_reads_another_encoder_refuses_every_unit(encoder: FrozenEncoder) -> None:
    settings = EncodingSettings(encoder.folder, encoder.config, "0" * 64, "cpu")
    reply = load_worker(encoding_job(settings, threads=0), encoder.folder)
    assert isinstance(reply, Reply)
    assert reply.outcome == "fatal"
    assert "otherwise than the driver" in reply.reason
