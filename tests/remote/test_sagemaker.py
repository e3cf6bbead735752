"""Training jobs: requests that botocore validates and moto's server takes; the container's entry point, run here."""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.stub import Stubber

from sentiment.cli import remote
from sentiment.common.errors import ParamsError
from sentiment.remote.backends import SageMakerBackend, training_job
from sentiment.remote.client import LostJobError, check_alive, follow, stop
from sentiment.remote.job import WAITING, JobFolder, Status
from sentiment.remote.runner import INTERRUPTED
from sentiment.storage.s3 import Remote
from tests.remote.conftest import EVALUATE_AGAIN, RemoteProject
from tests.remote.sagemaker_server import ROLE, moto_client, running_moto
from tests.s3_server import BUCKET

JOB_ID = "20260131-093000-1a2b3c"
REGION = "eu-west-1"


def options(*arguments: str) -> argparse.Namespace:
    """Return the options of `sentiment remote run --on sagemaker`."""
    parser = argparse.ArgumentParser()
    remote.add_arguments(parser)
    return parser.parse_args(["run", "--on", "sagemaker", "--role", ROLE, *arguments])


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> JobFolder:
    """A job of a bucket on AWS, with keys that nobody has."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    return JobFolder(Remote("storage", "bucket", "store", {"region": REGION}), JOB_ID)


def stubbed(folder: JobFolder, monkeypatch: pytest.MonkeyPatch) -> Stubber:
    """Return a stub of SageMaker's client: botocore validates each request and each answer."""
    client = folder.remote.session().client("sagemaker")
    monkeypatch.setattr("sentiment.remote.backends.sagemaker_client", lambda remote: client)
    return Stubber(client)


def described(status: str, **more: object) -> dict[str, object]:
    return {
        "TrainingJobName": f"sentiment-{JOB_ID}",
        "TrainingJobArn": f"arn:aws:sagemaker:{REGION}:123456789012:training-job/sentiment-{JOB_ID}",
        "ModelArtifacts": {"S3ModelArtifacts": "s3://bucket/none"},
        "TrainingJobStatus": status,
        "SecondaryStatus": status,
        "AlgorithmSpecification": {"TrainingInputMode": "File"},
        "ResourceConfig": {"InstanceType": "ml.g5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {},
        "CreationTime": 0,
        **more,
    }


def test_stop_asks_the_service_too(folder: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "put", lambda name, body: None)
    monkeypatch.setattr("sentiment.remote.client.follow", lambda *_, **__: Status("stopped", "stopped", 0.0))
    with stubbed(folder, monkeypatch) as stub:
        stub.add_response("describe_training_job", described("InProgress"))
        stub.add_response("stop_training_job", {}, {"TrainingJobName": f"sentiment-{JOB_ID}"})
        assert stop(folder, SageMakerBackend(None)) == "stopped"
        stub.assert_no_pending_responses()


def test_a_job_is_waited_for_as_long_as_it_was_sent_for(folder: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    statuses = [Status("finished", "ended", 0.0), Status(WAITING, WAITING, 100_000.0)]
    monkeypatch.setattr(folder, "job", lambda: {"heartbeat_s": 1.0, "start_limit_s": 172_800})
    monkeypatch.setattr(folder, "status", lambda heartbeat_s: statuses.pop())
    with stubbed(folder, monkeypatch) as stub:
        stub.add_response("describe_training_job", described("InProgress"))
        assert follow(folder, SageMakerBackend(None), is_shown=False, limit_s=30).line == "ended"


def test_a_spot_job_in_a_vpc_is_requested_as_botocore_expects(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = {
        "VpcConfig": {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
        "ResourceConfig": {"VolumeSizeInGB": 9},
    }
    more["Tags"] = [{"Key": "a", "Value": "b"}]
    given = options("--spot", "--max-hours", "2", "--max-wait-hours", "3", "--request", json.dumps(more))
    request = training_job(folder, given)
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 7_200, "MaxWaitTimeInSeconds": 10_800}
    assert request["ResourceConfig"] == {"InstanceType": "ml.g5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 9}
    assert (request["VpcConfig"], request["Tags"]) == (more["VpcConfig"], more["Tags"])
    with stubbed(folder, monkeypatch) as stub:
        stub.add_response(
            "create_training_job", {"TrainingJobArn": str(described("InProgress")["TrainingJobArn"])}, request
        )
        assert f"training job sentiment-{JOB_ID} on ml.g5.xlarge" in SageMakerBackend(given).start(folder)
        stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("instance_type", "expected"),
    [
        ("ml.g5.xlarge", r"763104351884\.dkr\.ecr\.eu-west-1\.amazonaws\.com/pytorch-training:.*-gpu-.*"),
        ("ml.m5.large", r".*-cpu-.*"),
    ],
)
def test_the_image_is_that_of_the_region_and_the_instance(folder: JobFolder, instance_type: str, expected: str) -> None:
    request = training_job(folder, options("--instance-type", instance_type))
    assert re.fullmatch(expected, request["AlgorithmSpecification"]["TrainingImage"])


def test_only_the_runner_of_a_spot_job_says_that_it_is_started_again(folder: JobFolder) -> None:
    requests = [training_job(folder, options(*given)) for given in ([], ["--spot"])]
    assert ["--restarts" in one["AlgorithmSpecification"]["ContainerArguments"] for one in requests] == [False, True]


def test_an_interrupted_spot_job_is_waited_for_until_sagemaker_gives_up(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = Status(INTERRUPTED, INTERRUPTED, 3_600.0)
    backend = SageMakerBackend(options("--spot"))
    with stubbed(folder, monkeypatch) as stub:
        stub.add_response("describe_training_job", described("InProgress"))
        check_alive(folder, backend, status, 7_200.0)
        stub.add_response("describe_training_job", described("Stopped", FailureReason="MaxWaitTimeExceeded"))
        with pytest.raises(LostJobError, match=r"interrupted and did not start again: SageMaker: Stopped.*MaxWait"):
            check_alive(folder, backend, status, 7_200.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--role", ""], "--role: expected the ARN of a role"),
        (["--request", "[]"], "--request: expected a JSON object"),
    ],
)
def test_options_that_cannot_work_are_refused(given: list[str], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        SageMakerBackend(options(*given)).check()


def test_the_reason_of_a_failure_is_shown(folder: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = SageMakerBackend(options())
    with stubbed(folder, monkeypatch) as stub:
        reason = "CapacityError: Unable to provision\nrequested ML compute capacity"
        stub.add_response("describe_training_job", described("Failed", FailureReason=reason))
        with pytest.raises(LostJobError, match="did not start: SageMaker: Failed: Failed: CapacityError: Unable"):
            check_alive(folder, backend, Status(WAITING, WAITING, 0.0), 7_200.0)


def test_a_job_that_waits_for_an_instance_is_stopped(folder: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    with stubbed(folder, monkeypatch) as stub:
        stub.add_response("describe_training_job", described("InProgress"))
        stub.add_response("stop_training_job", {}, {"TrainingJobName": f"sentiment-{JOB_ID}"})
        SageMakerBackend(None).cancel(folder)
        stub.assert_no_pending_responses()


@pytest.mark.slow
@pytest.mark.s3
def test_the_entry_point_does_the_job_in_the_layout_of_sagemaker(
    remote_project: RemoteProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = remote_project.project
    with running_moto(tmp_path / "moto.log") as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", url)
        arguments = ["--role", ROLE, "--spot", "--max-wait-hours", "48"]
        arguments += ["--detach", "-n", "cloud", "--", *EVALUATE_AGAIN]
        job_id = remote_project.remote("run", "--on", "sagemaker", *arguments).stdout.strip()
        sent = moto_client(url).describe_training_job(TrainingJobName=f"sentiment-{job_id}")
        assert sent["RoleArn"] == ROLE
        # what `logs --follow` waits for, hours later and without these options
        assert json.loads(remote_project.read(job_id, "input/job.json"))["start_limit_s"] == 48 * 3_600
        stopped = remote_project.remote("stop", job_id, check=False)
        assert "job" in stopped.stderr
        remote_project.server.client().delete_object(Bucket=BUCKET, Key=f"{remote_project.prefix}/jobs/{job_id}/stop")

        mount = tmp_path / "opt" / "ml"
        channel = mount / "input" / "data" / sent["InputDataConfig"][0]["ChannelName"]
        channel.mkdir(parents=True)
        for name in remote_project.objects(job_id):
            if name.startswith("input/"):
                (channel / Path(name).name).write_bytes(remote_project.read(job_id, name))
        algorithm = sent["AlgorithmSpecification"]
        words = [*algorithm["ContainerEntrypoint"], *algorithm["ContainerArguments"]]
        command = [word.replace("/opt/ml", str(mount)) for word in words]
        assert command[0] == "python3"
        environment = {**project.environment(), **remote_project.server.environment()}
        done = subprocess.run(
            [sys.executable, *command[1:], "--python", sys.executable],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "finished; brought cloud" in remote_project.remote("fetch", job_id).stderr
