"""Run a job as an Amazon SageMaker training job, and put a classifier behind a SageMaker endpoint, through boto3.

The SageMaker SDK (3.27) caps pyarrow below the version of this project's lock, so the requests are made here:
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html
"""

import gzip
import io
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from sentiment.common.errors import InputError, ParamsError, StorageError, one_line
from sentiment.remote.job import S3_ERRORS, JobFolder, checked, runner_arguments, storage_error
from sentiment.remote.runner import INPUT
from sentiment.storage.s3 import CONNECT_TIMEOUT, READ_TIMEOUT, STORAGE, Remote

MOUNT, CHANNEL = "/opt/ml", "job"  # SageMaker's own layout; a channel is a folder below input/data
OVER = ("Completed", "Failed", "Stopped")
# AWS's images, in this account in most regions: https://aws.github.io/deep-learning-containers/
IMAGE_ACCOUNT = "763104351884"
GPU_TAG, CPU_TAG = "2.8.0-gpu-py312-cu129-ubuntu22.04-sagemaker", "2.8.0-cpu-py312-ubuntu22.04-sagemaker"
GPU_INSTANCE = re.compile(r"ml\.[gp]\d")
ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+")
ENDPOINT_NAME = re.compile(r"[a-zA-Z0-9](-?[a-zA-Z0-9]){0,49}")
IMAGE = re.compile(r"[\w.-]+(?::\d+)?/[\w./-]+(?::[\w.-]+|@sha256:[0-9a-f]{64})?")
MODEL_FOLDER = f"{MOUNT}/model"  # where SageMaker unpacks model.tar.gz
ENDPOINT_LIMIT_S, ENDPOINT_POLL_S = 1_800, 10


@dataclass(frozen=True)
class SageMakerOptions:
    """What a training job costs and may reach.

    Attributes:
        role: ARN of the role that the job has; it reads and writes the bucket of the remote.
        instance_type: such as ml.g5.xlarge; ml.g* and ml.p* get the image with CUDA.
        image: URI of another image; it has Python 3.11, git and boto3. Some regions have AWS's images in an account of
            their own, and China under another domain: name the image there.
        spot: use spare capacity; SIGTERM then comes with two minutes' notice, and SageMaker starts the job again.
        max_hours: of computing.
        max_wait_hours: of waiting for spare capacity and computing.
        volume_gb: of the disk at /opt/ml.
        subnets, security_groups: of a VPC; both or none.
        tags: of the training job.
    """

    role: str = ""
    instance_type: str = "ml.g5.xlarge"
    image: str | None = None
    spot: bool = False
    max_hours: float = 12.0
    max_wait_hours: float = 24.0
    volume_gb: int = 50
    subnets: Sequence[str] = ()
    security_groups: Sequence[str] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    def check(self) -> None:
        """Raise ParamsError for what SageMaker would refuse minutes later."""
        checked(self.role, ROLE, "the ARN of a role; --role arn:aws:iam::ACCOUNT:role/NAME")
        if bool(self.subnets) != bool(self.security_groups):
            raise ParamsError("--subnets and --security-groups: give both or none")
        if self.spot and self.max_wait_hours < self.max_hours:
            raise ParamsError(f"--max-wait-hours {self.max_wait_hours:g}: expected at least --max-hours")


def training_job(folder: JobFolder, options: SageMakerOptions, region: str) -> dict[str, Any]:
    """Return the request of `create_training_job`: the channel is the job's input, the entry point its runner."""
    options.check()
    uri = f"s3://{folder.store.bucket}/{folder.store.prefix}"
    source = {"S3DataType": "S3Prefix", "S3Uri": f"{uri}/{INPUT}/", "S3DataDistributionType": "FullyReplicated"}
    limits = {"MaxRuntimeInSeconds": int(options.max_hours * 3_600)}
    arguments = [*runner_arguments(folder, region), "--work", f"{MOUNT}/job"]
    arguments += ["--failure-file", f"{MOUNT}/output/failure"]
    if options.spot:
        limits["MaxWaitTimeInSeconds"] = int(options.max_wait_hours * 3_600)
        arguments.append("--restarts")
    tag = GPU_TAG if GPU_INSTANCE.match(options.instance_type) else CPU_TAG
    request = {
        "TrainingJobName": job_name(folder),
        "RoleArn": options.role,
        "AlgorithmSpecification": {
            "TrainingImage": options.image or f"{IMAGE_ACCOUNT}.dkr.ecr.{region}.amazonaws.com/pytorch-training:{tag}",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python3", f"{MOUNT}/input/data/{CHANNEL}/runner.py"],
            "ContainerArguments": arguments,
        },
        "InputDataConfig": [{"ChannelName": CHANNEL, "DataSource": {"S3DataSource": source}}],
        "OutputDataConfig": {"S3OutputPath": f"{uri}/output"},
        "ResourceConfig": {
            "InstanceType": options.instance_type,
            "InstanceCount": 1,
            "VolumeSizeInGB": options.volume_gb,
        },
        "StoppingCondition": limits,
        "EnableManagedSpotTraining": options.spot,
        "Tags": [{"Key": key, "Value": value} for key, value in options.tags.items()],
    }
    if options.subnets:
        request["VpcConfig"] = {"Subnets": list(options.subnets), "SecurityGroupIds": list(options.security_groups)}
    return request


def job_name(folder: JobFolder) -> str:
    """Return the name of a job's training job."""
    return f"sentiment-{folder.id}"


def sagemaker_client(remote: Remote) -> tuple[Any, str]:
    """Return a SageMaker client with the keys of a remote or the AWS chain, and its region; raises ParamsError."""
    session = remote.session()
    region = session.region_name
    if not region:
        raise ParamsError("no AWS region; set AWS_REGION, or dvc remote modify --local storage region REGION")
    retries: Any = {"total_max_attempts": 4, "mode": "standard"}
    config = Config(connect_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT, retries=retries)
    return session.client("sagemaker", region_name=region, config=config), str(region)


@dataclass(frozen=True)
class SageMakerBackend:
    """SageMaker in the region of the storage remote."""

    options: SageMakerOptions = field(default_factory=SageMakerOptions)

    @property
    def start_limit_s(self) -> float:
        """Return how long a job may wait for its instance; SageMaker itself says earlier that it has none."""
        return self.options.max_wait_hours * 3_600

    def check(self) -> None:
        """Raise ParamsError for options that cannot work, before anything is sent."""
        self.options.check()
        sagemaker_client(Remote.read(STORAGE))

    def start(self, folder: JobFolder) -> str:
        """Create the training job; raises StorageError with SageMaker's answer."""
        client, region = sagemaker_client(folder.remote)
        request = training_job(folder, self.options, region)
        call(client.create_training_job, **request)
        return f"training job {request['TrainingJobName']} on {self.options.instance_type} in {region}"

    def describe(self, folder: JobFolder) -> tuple[bool, str]:
        """Return whether the training job is over, and SageMaker's status, with its reason where the job failed."""
        client, _ = sagemaker_client(folder.remote)
        try:
            answer = call(client.describe_training_job, TrainingJobName=job_name(folder))
        except StorageError as error:  # such as too many requests: the job goes on
            return False, str(error)
        text = f"SageMaker: {answer['TrainingJobStatus']}, {answer.get('SecondaryStatus', '')}"
        if reason := answer.get("FailureReason"):
            text += f": {' '.join(str(reason).split())}"
        return answer["TrainingJobStatus"] in OVER, text

    def cancel(self, folder: JobFolder) -> None:
        """Stop the training job, which may still wait for an instance, and would start again after a signal."""
        client, _ = sagemaker_client(folder.remote)
        answer = call(client.describe_training_job, TrainingJobName=job_name(folder))
        if answer["TrainingJobStatus"] not in OVER:
            call(client.stop_training_job, TrainingJobName=job_name(folder))


def call(operation: Any, **request: Any) -> dict[str, Any]:
    """Return the answer of an operation of SageMaker; raises StorageError with its message as one line."""
    try:
        answer: dict[str, Any] = operation(**request)
    except (BotoCoreError, ClientError) as error:
        raise StorageError(f"SageMaker: {one_line(error)}") from None
    return answer


@dataclass(frozen=True)
class Deployment:
    """An endpoint: its name, the classifier, and what it runs on; the container is this project's image."""

    name: str
    classifier: Path
    image: str
    role: str
    instance_type: str = "ml.m5.large"
    instances: int = 1

    def check(self) -> None:
        """Raise ParamsError or InputError for what SageMaker would refuse minutes later."""
        checked(self.name, ENDPOINT_NAME, "an endpoint's name: letters, digits and single '-', at most 50")
        checked(self.image, IMAGE, "the URI of an image in ECR; --image ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG")
        checked(self.role, ROLE, "the ARN of a role; --role arn:aws:iam::ACCOUNT:role/NAME")
        if not (self.classifier / "config.json").is_file():
            raise InputError(f"{self.classifier}: no classifier; run `dvc repro`, or `dvc pull`")


def archive(classifier: Path) -> bytes:
    """Return model.tar.gz with the files of a classifier at its root; equal classifiers give equal bytes."""
    content = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=content, mode="wb", filename="", mtime=0) as zipped,  # its header would hold the time
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in sorted(path for path in classifier.rglob("*") if path.is_file()):
            info = tarfile.TarInfo(path.relative_to(classifier).as_posix())  # without owner and time of the file
            info.size = path.stat().st_size
            with path.open("rb") as file:
                tar.addfile(info, file)
    return content.getvalue()


def deploy(deployment: Deployment) -> str:
    """Create model, configuration and endpoint; return a line when the endpoint is in service.

    Raises:
        InputError: no classifier, or an endpoint of this name.
        StorageError: S3 or SageMaker refused, or the endpoint failed; what was made is removed by `undeploy`.
    """
    deployment.check()
    name, remote = deployment.name, Remote.read(STORAGE)
    client, _ = sagemaker_client(remote)
    listed = call(client.list_endpoints, NameContains=name, MaxResults=100)["Endpoints"]
    if name in [one["EndpointName"] for one in listed]:  # its model.tar.gz must stay what it was created from
        raise InputError(f"endpoint {name} is there already; --delete removes it, or choose another name")
    key = remote.key("endpoints", name, "model.tar.gz")
    try:
        remote.client().put_object(Bucket=remote.bucket, Key=key, Body=archive(deployment.classifier))
    except S3_ERRORS as error:
        raise storage_error(remote, error) from None
    environment = {"SENTIMENT_CLASSIFIER": MODEL_FOLDER, "SENTIMENT_HOST": "0.0.0.0", "SENTIMENT_NO_AUTH": "1"}  # noqa: S104
    url = f"s3://{remote.bucket}/{key}"
    container = {"Image": deployment.image, "ModelDataUrl": url, "Environment": environment}
    variant = {
        "VariantName": "all",
        "ModelName": name,
        "InstanceType": deployment.instance_type,
        "InitialInstanceCount": deployment.instances,
    }
    call(client.create_model, ModelName=name, PrimaryContainer=container, ExecutionRoleArn=deployment.role)
    call(client.create_endpoint_config, EndpointConfigName=name, ProductionVariants=[variant])
    call(client.create_endpoint, EndpointName=name, EndpointConfigName=name)
    wait = {"Delay": ENDPOINT_POLL_S, "MaxAttempts": ENDPOINT_LIMIT_S // ENDPOINT_POLL_S}
    try:
        client.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=wait)
    except WaiterError as error:
        reason = error.last_response.get("FailureReason") or one_line(error)
        raise StorageError(f"endpoint {name}: {' '.join(reason.split())}; remove it by --delete") from None
    return "InService"


def undeploy(name: str) -> list[str]:
    """Delete endpoint, configuration and model of a name; return what was there. Raises StorageError."""
    checked(name, ENDPOINT_NAME, "an endpoint's name")
    client, _ = sagemaker_client(Remote.read(STORAGE))
    deleted = []
    for kind, key in (("endpoint", "EndpointName"), ("endpoint_config", "EndpointConfigName"), ("model", "ModelName")):
        try:
            call(getattr(client, f"delete_{kind}"), **{key: name})
        except StorageError as error:  # SageMaker has no error code of its own for what is not there
            if "Could not find" in str(error) or "does not exist" in str(error):
                continue
            raise
        deleted.append(kind.replace("_", " "))
    return deleted
