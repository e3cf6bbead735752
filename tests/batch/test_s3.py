"""`sentiment batch` on a real S3 server: 200 units of every format, broken ones among them, and a server that dies."""

import io
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sentiment.cli.app import main
from sentiment.head.classifier import Classifier
from sentiment.storage.s3 import _filesystem
from tests.batch.conftest import TIMEOUT, Batch, started
from tests.command_call import call_command
from tests.project import Project
from tests.s3_server import S3Server, running_server, wait_for
from tools.s3_server import make_bucket

pytestmark = [pytest.mark.slow, pytest.mark.s3]

BUCKET = "batch"
N_UNITS = 200
COLUMNS = 1_000_000


def client_of(server: S3Server) -> Any:
    client = server.client()
    make_bucket(client, BUCKET)
    return client


def put(client: Any, key: str, body: bytes) -> None:
    client.put_object(Bucket=BUCKET, Key=key, Body=body)


def content(index: int, n_rows: int = 3) -> tuple[str, bytes]:
    """Return the ending and the bytes of a small file, in one of four formats."""
    frame = pd.DataFrame(
        {"Title": ["Lovely"] * n_rows, "Review Text": [f"Soft {index} {row}" for row in range(n_rows)]}
    )
    if index % 4 == 0:
        data = io.BytesIO()
        pq.write_table(pa.Table.from_pandas(frame), data)
        return "parquet", data.getvalue()
    if index % 4 == 1:
        return "jsonl", frame.to_json(orient="records", lines=True).encode()
    data = io.BytesIO()
    frame.to_csv(data, index=False, compression="gzip" if index % 4 == 2 else None)
    return "csv.gz" if index % 4 == 2 else "csv", data.getvalue()


def keys(client: Any, prefix: str) -> dict[str, str]:
    """Return the ETag of each object below a prefix by its key."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return {item["Key"]: item["ETag"] for page in pages for item in page.get("Contents", [])}


def read_json(client: Any, key: str) -> Any:
    return json.loads(client.get_object(Bucket=BUCKET, Key=key)["Body"].read())


@pytest.fixture
def server_to_stop(project_template: Project, tmp_path: Any) -> Iterator[S3Server]:
    with running_server(project_template.clone(tmp_path / "server")) as server:
        yield server


def test_200_units_some_of_them_broken(s3_server: S3Server, batch: Batch) -> None:
    client, environment = client_of(s3_server), s3_server.environment()
    for index in range(N_UNITS - 4):
        ending, data = content(index)
        put(client, f"mixed/{index % 7}/{index:03d}.{ending}", data)
    put(client, "mixed/corrupt.parquet", content(0)[1][:-20])
    put(client, "mixed/empty.csv", b"")
    header = ",".join(["Title", "Review Text", *(f"c{column}" for column in range(2, COLUMNS))])
    put(client, "mixed/wide.csv", f"{header}\nLovely,Soft{',' * (COLUMNS - 2)}\n".encode())
    arguments = (f"s3://{BUCKET}/mixed", "--output", f"s3://{BUCKET}/labels")
    done = batch(*arguments, **environment)
    assert done.status == 1, done.stderr
    assert "error: 2 units failed" in done.stderr
    lines = client.get_object(Bucket=BUCKET, Key="labels/_errors.jsonl")["Body"].read().decode().splitlines()
    errors = {(error := json.loads(line))["input"]: error["reason"] for line in lines}
    assert sorted(errors) == ["corrupt.parquet", "empty.csv"]
    manifest = read_json(client, "labels/_manifest.json")
    assert manifest["outcomes"] == {"kept": 0, "written": N_UNITS - 3, "failed": 2, "pending": 0}
    assert manifest["counts"]["rows"] == 3 * (N_UNITS - 4) + 1
    before = keys(client, "labels/")
    assert len(before) == N_UNITS - 3 + 2
    assert client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []
    for name in ("corrupt.parquet", "empty.csv"):
        client.delete_object(Bucket=BUCKET, Key=f"mixed/{name}")
    again = batch(*arguments, **environment)
    assert again.status == 0, again.stderr
    assert f"batch: 0 units labeled, {N_UNITS - 3} there before" in again.stderr
    after = keys(client, "labels/")
    assert {key: tag for key, tag in after.items() if "/_" not in key} == {
        key: tag for key, tag in before.items() if "/_" not in key
    }
    assert "labels/_errors.jsonl" not in after


def test_a_unit_costs_three_get_and_one_put(
    s3_server: S3Server, classifier: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    client, n_units = client_of(s3_server), 5
    for index in range(n_units):
        put(client, f"counted/{index}.csv", content(3)[1])
    _filesystem.cache_clear()
    files = _filesystem(BUCKET)
    files.connect()
    requests: list[str] = []
    # before each is sent, so that one that is repeated counts twice
    files.s3.meta.events.register("before-send.s3", lambda event_name, **_: requests.append(event_name.split(".")[-1]))
    command = ["batch", f"s3://{BUCKET}/counted", "--output", f"s3://{BUCKET}/of", "--classifier", str(classifier)]
    run = {"ListObjectsV2": 1, "CreateMultipartUpload": 1, "AbortMultipartUpload": 1, "DeleteObject": 1}
    for gets, puts in ((3 * n_units, n_units + 1), (n_units, 1)):  # the second run finds everything there
        requests.clear()
        status, log = call_command(lambda: main(command), caplog, "sentiment")
        assert status == 0, log
        assert Counter(requests) == {**run, "GetObject": gets, "PutObject": puts}
    _filesystem.cache_clear()


def test_an_output_that_may_not_be_written_is_refused_before_anything_is_computed(
    s3_server: S3Server, classifier: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = client_of(s3_server)
    computed: list[str] = []
    put(client, "in/refused.csv", content(3)[1])
    for name, value in s3_server.environment(s3_server.credentials.reader).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(Classifier, "predict_proba", lambda *arguments: computed.append("features"))
    _filesystem.cache_clear()
    command = ["batch", f"s3://{BUCKET}/in", "--output", f"s3://{BUCKET}/refused", "--classifier", str(classifier)]
    status, log = call_command(lambda: main(command), caplog, "sentiment")
    _filesystem.cache_clear()
    assert (status, log.count("\n"), computed) == (1, 0, []), log
    assert "not permitted" in log
    assert keys(client, "refused/") == {}


def test_a_server_outage_of_20_seconds(server_to_stop: S3Server, completed_template: Project) -> None:
    client = client_of(server_to_stop)
    n_units = 60
    for index in range(n_units):
        put(client, f"in/{index:03d}.csv", content(3, n_rows=40)[1])
    arguments = (f"s3://{BUCKET}/in", "--output", f"s3://{BUCKET}/out")
    with started(completed_template, *arguments, **server_to_stop.environment()) as process:
        wait_for(lambda: len(keys(client, "out/")) >= 3, TIMEOUT)
        server_to_stop.kill()
        time.sleep(20)
        assert process.poll() is None
        server_to_stop.start()
        _, stderr = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, stderr
    assert f"batch: {n_units} units labeled, 0 there before" in stderr
    assert len([key for key in keys(client, "out/") if "/_" not in key]) == n_units
    assert read_json(client, "out/_manifest.json")["counts"]["rows"] == 40 * n_units


def test_a_missing_bucket_and_wrong_keys_are_one_line(s3_server: S3Server, batch: Batch, tmp_path: Any) -> None:
    environment = s3_server.environment()
    missing = batch("s3://no-such-bucket/in", "--output", tmp_path / "labels", **environment)
    refused = batch(
        f"s3://{BUCKET}/in", "--output", tmp_path / "labels", **{**environment, "AWS_SECRET_ACCESS_KEY": "wrong"}
    )
    for outcome, reason in ((missing, "no such bucket"), (refused, "key")):
        assert outcome.status == 1
        assert reason in outcome.stderr
        assert len(outcome.stderr.splitlines()) == 1
