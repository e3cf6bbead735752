"""How many S3 requests a unit costs; docs/scale.md calculates with these numbers."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sentiment.batch.labeling import Labeler
from sentiment.batch.listing import Inputs
from sentiment.batch.metadata import OutputMetadata
from sentiment.batch.planning import Planner
from sentiment.batch.s3 import S3Storage
from sentiment.batch.settings import make_settings

from sentiment.batch.plan import open_plan
from sentiment.batch.units import Shard
from tests.project import Project
from tests.s3_server import S3Server
from tools.s3_server import make_bucket

N_UNITS = 10


@pytest.mark.s3
def test_requests_per_unit(s3_server: S3Server, completed_template: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    make_bucket(s3_server.client(), "requests")
    for index in range(N_UNITS):
        body = b"Title,Review Text\nLovely,Soft\n"
        s3_server.client().put_object(Bucket="requests", Key=f"in/{index}.csv", Body=body)
    folder: Path = completed_template.root / "models" / "classifier"
    settings = make_settings("s3://requests/in", "s3://requests/out", folder)
    labeler = Labeler(settings, folder)
    assert isinstance(labeler.inputs, S3Storage)
    counted: Counter[str] = Counter()

    def count(operation_name: str = "", **_: Any) -> None:
        counted[operation_name] += 1

    labeler.inputs._client.meta.events.register("before-call.s3", lambda model, **_: count(model.name))

    def plan_and_label() -> Counter[str]:
        counted.clear()
        with open_plan() as plan:
            Planner(Inputs("s3://requests/in"), labeler.inputs, labeler.outputs, settings, Shard()).fill(plan)
            for unit in plan.pending():
                assert OutputMetadata.read(labeler.outputs, f"{settings.outputs}/{unit.output}") is None
                assert labeler.run(unit).outcome == "written"
        return counted.copy()

    # is the output there? when planned, and before it is begun; its input; its output
    assert plan_and_label() == {"ListObjectsV2": 1, "GetObject": 3 * N_UNITS, "PutObject": N_UNITS}
    assert plan_and_label() == {"ListObjectsV2": 1, "GetObject": N_UNITS}
