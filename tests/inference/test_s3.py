"""s3:// inputs and outputs on a real server: an object is complete or absent."""

import io
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from sentiment.head.classifier import Classifier
from sentiment.head.words import Tokens
from sentiment.storage.s3 import Objects, S3Error, _filesystem
from tests.inference.conftest import Predict
from tests.project import Project
from tests.s3_server import BUCKET, S3Server
from tools.s3_server import make_bucket

CSV = b"Title,Review Text\nLovely,Soft and warm\n,Fell apart\nbroken\n"


def body(s3: Any, key: str) -> bytes:
    return bytes(s3.get_object(Bucket="reviews", Key=key)["Body"].read())


def keys(s3: Any, prefix: str) -> list[str]:
    return [item["Key"] for item in s3.list_objects_v2(Bucket="reviews", Prefix=prefix).get("Contents", [])]


def uploads_begun(s3: Any) -> list[object]:
    return list(s3.list_multipart_uploads(Bucket="reviews").get("Uploads", []))


def test_csv_in_and_out(predict: Predict, s3: Any, tmp_path: Path) -> None:
    s3.put_object(Bucket="reviews", Key="in/new.csv", Body=CSV)
    (tmp_path / "new.csv").write_bytes(CSV)
    assert predict("s3://reviews/in/new.csv", "--output", "s3://reviews/out/labels.csv", "--keep-columns").status == 0
    assert body(s3, "out/labels.csv").decode() == predict(tmp_path / "new.csv", "--keep-columns").out
    assert uploads_begun(s3) == []


def test_parquet_in_and_out(predict: Predict, s3: Any) -> None:
    table = io.BytesIO()
    pq.write_table(pa.table({"Title": ["Lovely", ""], "Review Text": ["Soft", "Fell apart"]}), table)
    s3.put_object(Bucket="reviews", Key="in/new.parquet", Body=table.getvalue())
    assert predict("s3://reviews/in/new.parquet", "--output", "s3://reviews/out/labels.parquet").status == 0
    labels = pd.read_parquet(io.BytesIO(body(s3, "out/labels.parquet")))
    assert list(labels["id"]) == [1, 2]
    assert labels["probability"].between(0, 1).all()


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(5, "Input/output error")])
def test_an_upload_that_fails_is_aborted(
    predict: Predict, s3: Any, monkeypatch: pytest.MonkeyPatch, kind: str, error: BaseException
) -> None:
    predict_proba = Classifier.predict_proba
    calls = []

    def fail_late(self: Classifier, features: NDArray[np.float32], tokens: Tokens | None) -> NDArray[np.float32]:
        calls.append(len(features))
        if len(calls) > 1:
            raise error
        return predict_proba(self, features, tokens)

    monkeypatch.setattr(Classifier, "predict_proba", fail_late)
    outcome = predict("-", "--output", f"s3://reviews/half/labels.{kind}", stdin=b"good\n" * 100)
    assert outcome.status == (130 if isinstance(error, KeyboardInterrupt) else 1)
    assert calls == [64, 36]
    assert keys(s3, "half/") == []
    assert uploads_begun(s3) == []


@pytest.mark.parametrize("name", ["s3://reviews/in/absent.csv", "s3://no-such-bucket/new.csv"])
def test_a_missing_object_or_bucket_is_one_line(predict: Predict, s3: Any, name: str) -> None:
    outcome = predict(name)
    assert outcome.status == 1
    assert outcome.stderr.startswith(f"error: {name}: ")
    assert len(outcome.stderr.splitlines()) == 1


def test_wrong_keys_are_refused_in_one_line(predict: Predict, s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.put_object(Bucket="reviews", Key="in/new.csv", Body=CSV)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    _filesystem.cache_clear()  # it remembers the keys of the tests before
    for arguments in (("s3://reviews/in/new.csv",), ("Lovely", "--output", "s3://reviews/out/refused.csv")):
        outcome = predict(*arguments)
        assert outcome.status == 1
        assert outcome.stderr.startswith(f"error: {arguments[-1]}: ")
        assert "the secret key is wrong for this access key id" in outcome.stderr
        assert outcome.out == ""
    assert keys(s3, "out/refused.csv") == []


def test_the_keys_and_endpoint_of_dvc_are_used_without_any_aws_variable(
    completed_project: Project, s3_server: S3Server
) -> None:
    """As after `make s3`: they are in .dvc/config.local alone; the log has no line of the upload's own."""
    client = s3_server.client()
    make_bucket(client, BUCKET)
    client.put_object(Bucket=BUCKET, Key="in/new.csv", Body=CSV)
    key = s3_server.credentials.developer
    for name, value in (
        ("endpointurl", s3_server.endpoint),
        ("access_key_id", key.access_key_id),
        ("secret_access_key", key.secret_access_key),
    ):
        completed_project.run("dvc", "remote", "modify", "--local", "storage", name, value)
    environment = completed_project.environment(AWS_EC2_METADATA_DISABLED="true")
    environment = {name: value for name, value in environment.items() if not name.startswith("AWS_") or "EC2" in name}
    command = [sys.executable, "-m", "sentiment", "predict", f"s3://{BUCKET}/in/new.csv"]
    done = subprocess.run(
        [*command, "--output", f"s3://{BUCKET}/out/labels.csv"],
        cwd=completed_project.root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["predict", "predict"]
    labels = client.get_object(Bucket=BUCKET, Key="out/labels.csv")["Body"].read()
    assert labels.startswith(b"id,probability,sentiment\n1,0.")


def test_a_file_is_uploaded_in_pieces_by_one_request(s3: Any, tmp_path: Path) -> None:
    large, size, name = tmp_path / "labels.csv", 64_000_000, "s3://reviews/out/large.csv"
    large.touch()
    Objects().put_file(name, large)  # the client's modules take some memory, too
    with large.open("r+b") as file:
        file.truncate(size)
    tracemalloc.start()
    try:
        Objects().put_file(name, large)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert s3.head_object(Bucket="reviews", Key="out/large.csv")["ContentLength"] == size
    assert peak < 16_000_000
    assert uploads_begun(s3) == []


def test_an_object_that_changes_while_it_is_read_is_refused(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sentiment.storage.s3.BLOCK_SIZE", 1_000)
    objects, name = Objects(), "s3://reviews/in/changes.csv"
    objects.put(name, b"a" * 10_000)
    with objects.open(objects.info(name)) as file:
        assert file.read(10) == b"a" * 10
        objects.put(name, b"b" * 10_000)
        with pytest.raises(S3Error, match=f"^{name}: has changed since it was listed; run again$"):
            file.seek(5_000) and file.read(10)


def test_an_output_that_may_not_be_written_is_found_before_anything_is_computed(
    predict: Predict, s3: Any, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compute(self: Classifier, features: NDArray[np.float32]) -> NDArray[np.float32]:
        raise AssertionError("computed")

    monkeypatch.setattr(Classifier, "predict_proba", compute)
    for name, value in s3_server.environment(s3_server.credentials.reader).items():
        monkeypatch.setenv(name, value)
    _filesystem.cache_clear()
    outcome = predict("Lovely", "--output", "s3://reviews/out/refused.csv")
    assert outcome.status == 1
    assert outcome.stderr.startswith("error: s3://reviews/out/refused.csv: not permitted")
