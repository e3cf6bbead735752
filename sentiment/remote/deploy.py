"""Puts a classifier behind an Amazon SageMaker endpoint: a folder in, an endpoint out.

The container is this project's image, whose server answers /ping and /invocations (`sentiment/serving/sagemaker.py`).
Requests to an endpoint are signed, so the server asks for no key of its own.
"""

import io
import re
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sentiment.common.errors import InputError, StorageError
from sentiment.remote.job import S3_ERRORS, checked, storage_error
from sentiment.remote.sagemaker import call, sagemaker_client
from sentiment.remote.sagemaker_options import ROLE
from sentiment.storage.s3 import STORAGE, Remote

ENDPOINT_NAME = re.compile(r"[a-zA-Z0-9](-?[a-zA-Z0-9]){0,49}")
IMAGE = re.compile(r"[\w.-]+(?::\d+)?/[\w./-]+(?::[\w.-]+|@sha256:[0-9a-f]{64})?")
MODEL_FOLDER = "/opt/ml/model"  # where SageMaker unpacks model.tar.gz
ENVIRONMENT = {"SENTIMENT_CLASSIFIER": MODEL_FOLDER, "SENTIMENT_HOST": "0.0.0.0", "SENTIMENT_NO_AUTH": "1"}  # noqa: S104
WAIT_S, POLL_S = 1_800.0, 10.0
IN_SERVICE, PENDING = "InService", ("Creating", "Updating", "SystemUpdating")


@dataclass(frozen=True)
class Deployment:
    """An endpoint: its name, the classifier, and what it runs on."""

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
    with tarfile.open(fileobj=content, mode="w:gz", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(path for path in classifier.rglob("*") if path.is_file()):
            info = tarfile.TarInfo(path.relative_to(classifier).as_posix())
            info.size = path.stat().st_size
            with path.open("rb") as file:
                tar.addfile(info, file)
    return content.getvalue()


def deploy(deployment: Deployment, wait_s: float = WAIT_S) -> str:
    """Create model, configuration and endpoint; return the endpoint's status, InService within `wait_s` seconds.

    Raises:
        InputError: no classifier, or an endpoint of this name.
        StorageError: S3 or SageMaker refused, or the endpoint failed; what was made is removed by `undeploy`.
    """
    deployment.check()
    remote = Remote.read(STORAGE)
    client, _ = sagemaker_client(remote)
    if exists(client, deployment.name):  # its model.tar.gz must stay what it was created from
        raise InputError(f"endpoint {deployment.name} is there already; --delete removes it, or choose another name")
    key = remote.key("endpoints", deployment.name, "model.tar.gz")
    try:
        remote.client().put_object(Bucket=remote.bucket, Key=key, Body=archive(deployment.classifier))
    except S3_ERRORS as error:
        raise storage_error(remote, error) from None
    for operation, request in requests(deployment, f"s3://{remote.bucket}/{key}").items():
        call(getattr(client, operation), **request)
    return wait_until_in_service(client, deployment.name, wait_s)


def requests(deployment: Deployment, model_url: str) -> dict[str, dict[str, Any]]:
    """Return the three requests by operation, in order."""
    container = {"Image": deployment.image, "ModelDataUrl": model_url, "Environment": ENVIRONMENT}
    variant = {
        "VariantName": "all",
        "ModelName": deployment.name,
        "InstanceType": deployment.instance_type,
        "InitialInstanceCount": deployment.instances,
    }
    name = deployment.name
    return {
        "create_model": {"ModelName": name, "PrimaryContainer": container, "ExecutionRoleArn": deployment.role},
        "create_endpoint_config": {"EndpointConfigName": name, "ProductionVariants": [variant]},
        "create_endpoint": {"EndpointName": name, "EndpointConfigName": name},
    }


def wait_until_in_service(client: Any, name: str, wait_s: float) -> str:
    """Return InService when an endpoint is; raises StorageError with the reason where it fails or takes too long."""
    deadline = time.monotonic() + wait_s
    while True:
        answer = call(client.describe_endpoint, EndpointName=name)
        status = str(answer["EndpointStatus"])
        if status == IN_SERVICE:
            return status
        reason = " ".join(str(answer.get("FailureReason", "")).split())
        if status not in PENDING:
            raise StorageError(f"endpoint {name}: {status}{': ' if reason else ''}{reason}; remove it by --delete")
        if time.monotonic() > deadline:
            raise StorageError(f"endpoint {name}: still {status} after {wait_s:.0f} s; --delete removes it")
        time.sleep(POLL_S)


def exists(client: Any, name: str) -> bool:
    """Return whether there is an endpoint of a name; raises StorageError."""
    try:
        call(client.describe_endpoint, EndpointName=name)
    except StorageError as error:
        if is_unknown(error):
            return False
        raise
    return True


def is_unknown(error: StorageError) -> bool:
    """Return whether SageMaker says that there is no such thing; it has no error code of its own for that."""
    return any(words in str(error) for words in ("Could not find", "does not exist"))


def undeploy(name: str) -> list[str]:
    """Delete endpoint, configuration and model of a name; return what was there. Raises StorageError."""
    checked(name, ENDPOINT_NAME, "an endpoint's name")
    client, _ = sagemaker_client(Remote.read(STORAGE))
    deleted = []
    for kind, key in (("endpoint", "EndpointName"), ("endpoint_config", "EndpointConfigName"), ("model", "ModelName")):
        try:
            call(getattr(client, f"delete_{kind}"), **{key: name})
        except StorageError as error:
            if not is_unknown(error):
                raise
            continue
        deleted.append(kind.replace("_", " "))
    return deleted
