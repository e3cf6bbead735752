"""What a SageMaker training job costs and may reach, and the image that it starts from."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sentiment.common.errors import ParamsError
from sentiment.remote.job import checked

# AWS's images: https://aws.github.io/deep-learning-containers/ ; accounts by region, most have the first one
IMAGE_ACCOUNT = "763104351884"
IMAGE_ACCOUNTS = {
    "af-south-1": "626614931356",
    "ap-east-1": "871362719292",
    "ap-northeast-3": "364406365360",
    "cn-north-1": "727897471807",
    "cn-northwest-1": "727897471807",
    "eu-south-1": "692866216735",
    "me-south-1": "217643126080",
    "us-gov-west-1": "442386744353",
}
GPU_TAG, CPU_TAG = "2.8.0-gpu-py312-cu129-ubuntu22.04-sagemaker", "2.8.0-cpu-py312-ubuntu22.04-sagemaker"
GPU_INSTANCE = re.compile(r"ml\.[gp]\d")
ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+")


@dataclass(frozen=True)
class SageMakerOptions:
    """What a training job costs and may reach.

    Attributes:
        role: ARN of the role that the job has; it reads and writes the bucket of the remote.
        instance_type: such as ml.g5.xlarge; ml.g* and ml.p* get the image with CUDA.
        image: URI of another image; it has Python 3.11, git and boto3.
        spot: use spare capacity; SIGTERM then comes with two minutes' notice.
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


def image_uri(region: str, instance_type: str) -> str:
    """Return AWS's PyTorch training image for a region and an instance type."""
    account = IMAGE_ACCOUNTS.get(region, IMAGE_ACCOUNT)
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    tag = GPU_TAG if GPU_INSTANCE.match(instance_type) else CPU_TAG
    return f"{account}.dkr.ecr.{region}.{domain}/pytorch-training:{tag}"
