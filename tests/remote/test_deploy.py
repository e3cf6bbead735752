"""`sentiment remote deploy` against moto's server and a real S3 server: what is created, and that it is deleted."""

import io
import tarfile
import time
from pathlib import Path

import pytest

from sentiment.common.errors import ParamsError
from sentiment.remote.sagemaker import Deployment, archive
from tests.remote.conftest import RemoteProject
from tests.remote.sagemaker_server import ROLE, moto_client, running_moto
from tests.s3_server import BUCKET

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/sentiment:1.0"


@pytest.mark.slow
@pytest.mark.s3
def test_a_classifier_is_deployed_and_deleted(
    remote_project: RemoteProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_moto(tmp_path / "moto.log") as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", url)
        done = remote_project.remote("deploy", "reviews", "--image", IMAGE, "--role", ROLE)
        assert done.stderr == "endpoint reviews: InService\n"
        client = moto_client(url)
        container = client.describe_model(ModelName="reviews")["PrimaryContainer"]
        assert container["Image"] == IMAGE
        assert container["Environment"]["SENTIMENT_CLASSIFIER"] == "/opt/ml/model"
        key = container["ModelDataUrl"].removeprefix(f"s3://{BUCKET}/")
        body = remote_project.server.client().get_object(Bucket=BUCKET, Key=key)["Body"].read()
        unpacked = tmp_path / "model"
        with tarfile.open(fileobj=io.BytesIO(body)) as tar:
            tar.extractall(unpacked, filter="data")
        labeled = remote_project.project.run("sentiment", "predict", "--classifier", str(unpacked), "Soft and warm")
        assert "positive" in labeled.stdout or "negative" in labeled.stdout
        assert client.describe_endpoint(EndpointName="reviews")["EndpointConfigName"] == "reviews"

        again = remote_project.remote("deploy", "reviews", "--image", IMAGE, "--role", ROLE, check=False)
        assert (again.returncode, len(again.stderr.splitlines())) == (1, 1)
        deleted = remote_project.remote("deploy", "reviews", "--delete")
        assert deleted.stderr == "endpoint reviews: deleted endpoint, endpoint config, model\n"
        nothing = remote_project.remote("deploy", "reviews", "--delete")
        assert nothing.stderr == "endpoint reviews: deleted nothing; there was none\n"


@pytest.mark.parametrize(
    ("name", "image", "role", "message"),
    [
        ("-x", IMAGE, ROLE, "is not an endpoint's name"),
        ("reviews", "", ROLE, "is not the URI of an image"),
        ("reviews", IMAGE, "admin", "is not the ARN of a role"),
    ],
)
def test_what_sagemaker_would_refuse_is_refused_at_once(name: str, image: str, role: str, message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        Deployment(name, Path("models/classifier"), image, role).check()


def test_equal_classifiers_give_equal_bytes_at_any_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "encoder").mkdir()
    for name in ("config.json", "encoder/config.json"):
        (tmp_path / name).write_text("{}")
    first = archive(tmp_path)
    (tmp_path / "config.json").touch()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3_600)
    assert archive(tmp_path) == first
