"""Run a job on this machine, on a host by SSH, on SageMaker, or wherever somebody runs a command.

    backend = backend_for(["ssh", "gpu-box"])
    backend.check()
    backend.start(submit(["ssh", "gpu-box"], backend, [[]]))

A host uses credentials of its own (its role, or `aws configure` there); no key leaves this machine. The SageMaker SDK
(3.27) caps pyarrow below the version of this project's lock, so boto3 sends the requests.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from sentiment.common.errors import ParamsError, StorageError, one_line
from sentiment.remote.job import JobFolder, checked
from sentiment.remote.runner import INPUT, RUNNER
from sentiment.storage.s3 import REQUEST_SETTINGS, STORAGE, Remote

HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,254}")  # no option of ssh, and nothing that a shell expands
SSH_VARIABLE = "SENTIMENT_SSH_COMMAND"  # as GIT_SSH_COMMAND: ssh with options, such as another configuration
CONNECT_TIMEOUT_S, COMMAND_LIMIT_S = 15, 300
# settings of a DVC remote, and what they are called in the environment
AWS_VARIABLES = {
    "access_key_id": "AWS_ACCESS_KEY_ID",
    "secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "session_token": "AWS_SESSION_TOKEN",
    "profile": "AWS_PROFILE",
}
# no shell expands a "~" in a variable's value
CACHE_OF_HOST = """
cache="${SENTIMENT_REMOTE_CACHE:-$HOME/.cache/sentiment-remote}"
case "$cache" in "~/"*) cache="$HOME/${cache#??}";; esac
"""
CACHE_HERE = Path(".dvc/tmp/remote")  # ignored by git
# the runner comes on standard input; nohup lets it go on when the connection ends
START = """
set -e
work="$cache/jobs/{id}"
mkdir -p "$work"
cat > "$work/runner.py"
command -v git > /dev/null || {{ echo "git is not installed there" >&2; exit 1; }}
python=$(command -v {python}) || {{ echo {python} "is not installed there" >&2; exit 1; }}
set -- {arguments}
if ! "$python" -c "import boto3" 2> /dev/null; then
  "$python" -m venv "$cache/boto3"
  python="$cache/boto3/bin/python"
  "$python" -m pip install --quiet --disable-pip-version-check "boto3>=1.40" >&2
fi
nohup "$python" "$work/runner.py" "$@" --work "$work" > "$work/runner.log" 2>&1 < /dev/null &
echo $! > "$work/pid"
echo "process $! in $work on $(uname -n)"
"""
ENDED = "its process has ended"
DESCRIBE = """
work="$cache/jobs/{id}"
if [ ! -e "$work/pid" ]; then echo "started on another machine"
elif ! command -v ps > /dev/null || ps -ww -o args= -p "$(cat "$work/pid")" | grep -q {id}; then echo "runs in $work"
else echo "{ended}"; tail -n 1 "$work/runner.log"
fi
"""
MOUNT, CHANNEL = "/opt/ml", "job"  # SageMaker's own layout; a channel is a folder below input/data
OVER = ("Completed", "Failed", "Stopped")
# AWS's images, in this account in most regions: https://aws.github.io/deep-learning-containers/
IMAGE = "763104351884.dkr.ecr.{region}.amazonaws.com/pytorch-training:2.8.0-{processor}-ubuntu22.04-sagemaker"
GPU_INSTANCE = re.compile(r"ml\.[gp]\d")
DOWNLOAD = (
    "import boto3, sys; boto3.client('s3', endpoint_url=sys.argv[4] or None).download_file(*sys.argv[1:3], sys.argv[3])"
)


class Backend:
    """A machine or service that runs jobs; this one starts nothing: somebody, or a scheduler, runs the command.

    Attributes:
        start_limit_s: how long a job may take from being sent, or interrupted, to its next heartbeat.
    """

    start_limit_s = 86_400.0

    def check(self) -> None:
        """Raise PipelineError for what cannot work, before anything is sent."""

    def start(self, folder: JobFolder) -> str:
        """Start the runner for a job; return one line on where it runs, here the command for a POSIX shell."""
        runner = f"runner-{folder.id}.py"
        endpoint = str(folder.remote.settings.get("endpointurl") or "")
        download = ["python3", "-c", DOWNLOAD, folder.bucket, folder.key(RUNNER), runner, endpoint]
        run = ["exec", "python3", runner, *runner_arguments(folder), "--work", f"sentiment-{folder.id}"]
        return f"{shlex.join(download)} && {shlex.join(run)}"

    def describe(self, folder: JobFolder) -> tuple[bool, str]:
        """Return whether nothing runs there any more, and what the backend says of a job."""
        return False, "started by a command that somebody runs"

    def cancel(self, folder: JobFolder) -> None:
        """End a job besides the request to stop that its runner reads."""


class ShellBackend(Backend):
    """A shell here, or on a host with Python 3.11, git and credentials.

    Args:
        host: by its name in OpenSSH's configuration, or USER@HOST; None for this machine.
        python: an interpreter there that has the lock; None makes an environment there.

    Raises:
        ParamsError: a host that ssh or a shell could misread.
    """

    start_limit_s = 120.0

    def __init__(self, host: str | None, python: str | None) -> None:
        self._host = host if host is None else checked(host, HOST, "a host: HOST or USER@HOST")
        self._python = python

    def check(self) -> None:
        """Raise StorageError if the host does not answer."""
        self._run("true")

    def start(self, folder: JobFolder) -> str:
        """Copy the runner and start it; raises StorageError with the last line of ssh or of the host."""
        arguments = shlex.join(runner_arguments(folder)) + (' --python "$python"' if self._python else "")
        script = START.format(id=folder.id, python=shell_path(self._python or "python3"), arguments=arguments)
        return self._run(script, folder.remote, folder.get(RUNNER))

    def describe(self, folder: JobFolder) -> tuple[bool, str]:
        """Return whether the runner's process has ended, and where it is, or what it wrote last."""
        try:
            answer = self._run(DESCRIBE.format(id=folder.id, ended=ENDED)).splitlines()
        except StorageError as error:
            return False, str(error)
        return answer[0] == ENDED, ": ".join(answer)

    def _run(self, script: str, remote: Remote | None = None, stdin: bytes = b"") -> str:
        """Return the output of a script; here it inherits this environment, and the keys that DVC has for a remote."""
        if self._host:
            ssh = shlex.split(os.environ.get(SSH_VARIABLE, "ssh"))
            options = ["-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_TIMEOUT_S}"]
            command = [*ssh, *options, "--", self._host, f"sh -c {shlex.quote(CACHE_OF_HOST + script)}"]
        else:
            command = ["sh", "-c", f"cache={shlex.quote(str(CACHE_HERE.absolute()))}\n{script}"]
        where = f"ssh {self._host}" if self._host else "this machine"
        try:
            done = subprocess.run(
                command, input=stdin, capture_output=True, timeout=COMMAND_LIMIT_S, start_new_session=not self._host,
                env=environment(remote) if remote and not self._host else None,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise StorageError(f"{where}: no answer for {COMMAND_LIMIT_S} s") from None
        except FileNotFoundError:
            raise ParamsError(f"{command[0]} is not installed; install OpenSSH's client") from None
        if done.returncode:
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit status {done.returncode}"]
            raise StorageError(f"{where}: {lines[-1].strip()}")
        return done.stdout.decode("utf-8", "replace").strip()


class SageMakerBackend(Backend):
    """Amazon SageMaker in the region of the storage remote, through boto3: one training job for each job.

    Args:
        options: of `sentiment remote run`; None for a job that runs already.
    """

    def __init__(self, options: Any) -> None:
        self._options = options
        if options:  # how long it may wait for its instance; SageMaker itself says earlier that it has none
            self.start_limit_s = options.max_wait_hours * 3_600

    def check(self) -> None:
        """Raise ParamsError for what can be known before anything is sent; SageMaker checks the rest of the request."""
        if not self._options.role:
            raise ParamsError("--role: expected the ARN of a role, such as arn:aws:iam::123456789012:role/sagemaker")
        if not isinstance(self._options.request, dict):
            raise ParamsError("--request: expected a JSON object")
        sagemaker_client(Remote.read(STORAGE))

    def start(self, folder: JobFolder) -> str:
        """Create the training job; raises botocore's errors with SageMaker's answer."""
        client = sagemaker_client(folder.remote)
        request = training_job(folder, self._options)
        client.create_training_job(**request)
        return f"training job {request['TrainingJobName']} on {self._options.instance_type}"

    def describe(self, folder: JobFolder) -> tuple[bool, str]:
        """Return whether the training job is over, and SageMaker's status, with its reason where the job failed."""
        try:
            answer = sagemaker_client(folder.remote).describe_training_job(TrainingJobName=f"sentiment-{folder.id}")
        except (BotoCoreError, ClientError) as error:  # such as too many requests: the job goes on
            return False, f"SageMaker: {one_line(error)}"
        texts = [answer["TrainingJobStatus"], answer.get("SecondaryStatus"), answer.get("FailureReason")]
        text = f"SageMaker: {': '.join(filter(None, texts))}"
        return answer["TrainingJobStatus"] in OVER, " ".join(text.split())

    def cancel(self, folder: JobFolder) -> None:
        """Stop the training job, which may still wait for an instance, and would start again after a signal."""
        client, name = sagemaker_client(folder.remote), f"sentiment-{folder.id}"
        if client.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] not in OVER:
            client.stop_training_job(TrainingJobName=name)


def sagemaker_client(remote: Remote) -> Any:
    """Return a SageMaker client with the keys of a remote or the AWS chain; raises ParamsError without a region."""
    session = remote.session()
    if not session.region_name:
        raise ParamsError("no AWS region; set AWS_DEFAULT_REGION, or dvc remote modify --local storage region REGION")
    retries = {"total_max_attempts": 4, "mode": "standard"}
    return session.client("sagemaker", config=Config(**{**REQUEST_SETTINGS, "retries": retries}))


def training_job(folder: JobFolder, options: Any) -> dict[str, Any]:
    """Return the request of SageMaker's CreateTrainingJob: the channel is the job's input, the entry point its runner.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html
    """
    region = folder.remote.session().region_name
    uri = f"s3://{folder.bucket}/{folder.prefix}"
    source = {"S3DataType": "S3Prefix", "S3Uri": f"{uri}/{INPUT}/", "S3DataDistributionType": "FullyReplicated"}
    processor = "gpu-py312-cu129" if GPU_INSTANCE.match(options.instance_type) else "cpu-py312"
    limits = {"MaxRuntimeInSeconds": options.max_hours * 3_600}
    arguments = [*runner_arguments(folder), "--work", f"{MOUNT}/job"]
    if options.spot:
        limits["MaxWaitTimeInSeconds"] = options.max_wait_hours * 3_600
        arguments.append("--restarts")
    request: dict[str, Any] = {
        "TrainingJobName": f"sentiment-{folder.id}",
        "RoleArn": options.role,
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE.format(region=region, processor=processor),
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python3", f"{MOUNT}/input/data/{CHANNEL}/runner.py"],
            "ContainerArguments": arguments,
        },
        "InputDataConfig": [{"ChannelName": CHANNEL, "DataSource": {"S3DataSource": source}}],
        "OutputDataConfig": {"S3OutputPath": f"{uri}/output"},
        "ResourceConfig": {"InstanceType": options.instance_type, "InstanceCount": 1, "VolumeSizeInGB": 50},
        "StoppingCondition": limits,
        "EnableManagedSpotTraining": options.spot,
    }
    for key, value in options.request.items():
        request[key] = {**request.get(key, {}), **value} if isinstance(value, dict) else value
    return request


def backend_for(on: Sequence[str], options: Any = None) -> Backend:
    """Return the backend for the words after `--on`, such as ["ssh", "gpu-box"]; raises ParamsError for others.

    `options` are those of the command line; None for a job that runs already.
    """
    python = str(options.python) if options and options.python else None
    match list(on):
        case ["local"]:
            return ShellBackend(None, python or sys.executable)
        case ["ssh", host]:
            return ShellBackend(host, python)
        case ["sagemaker"]:
            return SageMakerBackend(options)
        case ["command"]:
            return Backend()
        case _:
            raise ParamsError(f"--on {' '.join(on)}: expected local, ssh HOST, sagemaker or command")


def runner_arguments(folder: JobFolder) -> list[str]:
    """Return the arguments with which a runner finds a job."""
    endpoint, region = folder.remote.settings.get("endpointurl"), folder.remote.session().region_name
    optional = [*(["--endpoint", endpoint] if endpoint else []), *(["--region", region] if region else [])]
    return ["--bucket", folder.bucket, "--prefix", folder.prefix, *optional]


def environment(remote: Remote) -> dict[str, str]:
    """Return this environment with the keys or the profile that DVC has for the remote, where it has any."""
    own = {name: str(remote.settings[key]) for key, name in AWS_VARIABLES.items() if remote.settings.get(key)}
    others = {name: value for name, value in os.environ.items() if not own or name not in AWS_VARIABLES.values()}
    return {**others, **own}


def shell_path(path: str) -> str:
    """Return a path as a word of a POSIX shell, in which `~/` at its start is the home folder there."""
    return f'"$HOME"/{shlex.quote(path[2:])}' if path.startswith("~/") else shlex.quote(path)
