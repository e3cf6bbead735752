"""Runs a job as an Amazon SageMaker training job, through boto3.

The SageMaker SDK (3.27) caps pyarrow below the version of this project's lock, so the requests are made here:
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html
"""

from dataclasses import dataclass, field
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from sentiment.common.errors import ParamsError, StorageError, one_line
from sentiment.remote.backends import BackendState
from sentiment.remote.job import JobFolder
from sentiment.remote.local import runner_arguments
from sentiment.remote.runner.layout import INPUT
from sentiment.remote.sagemaker_options import SageMakerOptions, image_uri
from sentiment.storage.s3 import CONNECT_TIMEOUT, READ_TIMEOUT, STORAGE, Remote

MOUNT, CHANNEL = "/opt/ml", "job"  # SageMaker's own layout; a channel is a folder below input/data
OVER = ("Completed", "Failed", "Stopped")


def training_job(folder: JobFolder, options: SageMakerOptions, region: str) -> dict[str, Any]:
    """Return the request of `create_training_job`: the channel is the job's input, the entry point its runner."""
    options.check()
    uri = f"s3://{folder.store.bucket}/{folder.store.prefix}"
    source = {"S3DataType": "S3Prefix", "S3Uri": f"{uri}/{INPUT}/", "S3DataDistributionType": "FullyReplicated"}
    limits = {"MaxRuntimeInSeconds": int(options.max_hours * 3_600)}
    if options.spot:
        limits["MaxWaitTimeInSeconds"] = int(options.max_wait_hours * 3_600)
    request = {
        "TrainingJobName": job_name(folder),
        "RoleArn": options.role,
        "AlgorithmSpecification": {
            "TrainingImage": options.image or image_uri(region, options.instance_type),
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python3", f"{MOUNT}/input/data/{CHANNEL}/runner.pyz"],
            "ContainerArguments": [
                *runner_arguments(folder, region),
                *("--work", f"{MOUNT}/job", "--failure-file", f"{MOUNT}/output/failure"),
            ],
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
    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"total_max_attempts": 4, "mode": "standard"},
    )
    return session.client("sagemaker", region_name=region, config=config), str(region)


@dataclass(frozen=True)
class SageMakerBackend:
    """SageMaker in the region of the storage remote."""

    options: SageMakerOptions = field(default_factory=SageMakerOptions)

    @property
    def start_limit_s(self) -> float:
        """Return how long a job may wait for its instance."""
        return (self.options.max_wait_hours if self.options.spot else 1.0) * 3_600

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

    def describe(self, folder: JobFolder) -> BackendState:
        """Return SageMaker's status, with its reason where the job failed."""
        client, _ = sagemaker_client(folder.remote)
        answer = call(client.describe_training_job, TrainingJobName=job_name(folder))
        text = f"SageMaker: {answer['TrainingJobStatus']}, {answer.get('SecondaryStatus', '')}"
        if reason := answer.get("FailureReason"):
            text += f": {' '.join(str(reason).split())}"
        return BackendState(answer["TrainingJobStatus"] in OVER, text)

    def cancel(self, folder: JobFolder) -> None:
        """Stop the training job, which may still wait for an instance."""
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
