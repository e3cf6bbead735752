"""Run experiments on another machine with one command, and bring them back as if they had run here.

    sentiment remote run -n slow -- -S train.learning_rate=0.001
    sentiment remote run -n grid -- -S train.learning_rate=0.001,0.01 -S train.batch_size=64,128
    sentiment remote run --on ssh gpu-box -- -S finetune.epochs=2
    sentiment remote run --on sagemaker --role arn:aws:iam::123456789012:role/sagemaker --spot -- -S train.seed=2
    sentiment remote run --on command -- -S train.seed=2 > job.sh
    sentiment remote list
    sentiment remote fetch 20260131-093000-1a2b3c

What follows -- are arguments of `dvc exp run`; several values of -S make a grid. The job goes through the storage
remote (`dvc remote`), below jobs/ID/: closing this terminal loses nothing, and `fetch` brings the experiments later.
docs/remote.md has more.
"""

import argparse
import logging
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from sentiment.common.errors import ParamsError

if TYPE_CHECKING:
    from sentiment.remote.sagemaker import SageMakerBackend

log = logging.getLogger(__name__)

JOB_ACTIONS = {
    "logs": "print the log of a job",
    "fetch": "bring the experiments of a job, and show its status",
    "stop": "stop a job; what is complete is pushed",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands of `sentiment remote`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_run(actions.add_parser("run", help="run experiments elsewhere and bring them back"))
    actions.add_parser("list", help="list the jobs, newest last")
    for name, summary in JOB_ACTIONS.items():
        action = actions.add_parser(name, help=summary)
        action.add_argument("id", metavar="ID", help="of the job, as `run` and `list` print it")
        if name == "logs":
            action.add_argument("-f", "--follow", action="store_true", help="until the job ends")
        if name == "fetch":
            action.add_argument("--no-data", action="store_true", help="bring metrics and params, not the outputs")
    _add_deploy(actions.add_parser("deploy", help="put a classifier behind a SageMaker endpoint"))


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--on", nargs="+", default=["local"], metavar="BACKEND", help="local, ssh HOST, sagemaker, or command"
    )
    parser.add_argument("-n", "--name", help="of the experiment; of a grid: NAME-1, NAME-2, ...")
    parser.add_argument("--include-changes", action="store_true", help="take changes that are not committed along")
    parser.add_argument("--detach", action="store_true", help="print the job's id and return when it is sent")
    parser.add_argument("--no-data", action="store_true", help="bring metrics and params, not the outputs")
    parser.add_argument("--python", type=Path, help="an interpreter there that has requirements.txt installed")
    parser.add_argument("--heartbeat", type=float, default=15.0, metavar="SECONDS", help="(default: %(default)s)")
    parser.add_argument("arguments", nargs="*", metavar="-- ARGUMENTS", help="of dvc exp run")
    group = parser.add_argument_group("on SageMaker")
    group.add_argument("--role", default="", metavar="ARN", help="of the job; reads and writes the bucket")
    group.add_argument("--instance-type", default="ml.g5.xlarge", help="(default: %(default)s)")
    group.add_argument("--image", help="another image (default: AWS's PyTorch image of the region)")
    group.add_argument("--spot", action="store_true", help="use spare capacity")
    group.add_argument("--max-hours", type=float, default=12.0, help="of computing (default: %(default)s)")
    group.add_argument("--max-wait-hours", type=float, default=24.0, help="with --spot (default: %(default)s)")
    group.add_argument("--volume-gb", type=int, default=50, help="of the disk (default: %(default)s)")
    group.add_argument("--subnets", nargs="+", default=[], metavar="ID", help="of a VPC")
    group.add_argument("--security-groups", nargs="+", default=[], metavar="ID", help="of a VPC")
    group.add_argument("--tag", action="append", default=[], metavar="KEY=VALUE", help="of the training job")


def _add_deploy(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="of endpoint, configuration and model")
    parser.add_argument("--delete", action="store_true", help="delete all three")
    parser.add_argument("--classifier", type=Path, default=Path("models/classifier"), help="(default: %(default)s)")
    parser.add_argument("--image", default="", metavar="URI", help="in ECR, of this project's Dockerfile")
    parser.add_argument("--role", default="", metavar="ARN", help="of the endpoint; reads the bucket and the image")
    parser.add_argument("--instance-type", default="ml.m5.large", help="(default: %(default)s)")
    parser.add_argument("--instances", type=int, default=1, help="(default: %(default)s)")


def main(args: argparse.Namespace) -> int:
    """Run one sub-command and return its exit status: 1 where a job failed."""
    actions = {"run": run, "list": list_jobs, "logs": logs, "fetch": fetch, "stop": stop, "deploy": deploy}
    return actions[args.action](args)


def run(args: argparse.Namespace) -> int:
    """Send a job, start it, follow it, and bring its experiments."""
    from sentiment.remote import client  # boto3: a second that --help does not take
    from sentiment.remote.backends import backend_for
    from sentiment.remote.runner import FINISHED

    if args.heartbeat <= 0:
        raise ParamsError(f"--heartbeat {args.heartbeat}: expected seconds above 0")
    backend = sagemaker_backend(args) if args.on == ["sagemaker"] else backend_for(args.on, args.python)
    backend.check()
    runs = client.experiments(args.arguments, args.name)
    begun = time.monotonic()
    folder = client.submit(args.on, runs, args.include_changes, args.heartbeat)
    log.info("job %s: sent in %.1f s", folder.id, time.monotonic() - begun)
    where = backend.start(folder)
    if args.on == ["command"]:
        sys.stdout.write(f"{where}\n")
        return 0
    log.info("job %s: %s", folder.id, where)
    if args.detach:
        sys.stdout.write(f"{folder.id}\n")
        return 0
    try:
        status = client.follow(folder, backend)
    except KeyboardInterrupt:
        log.info("job %s goes on; `sentiment remote logs -f`, `fetch` and `stop` take its id", folder.id)
        raise
    if names := client.fetch(folder, not args.no_data):
        log.info("job %s: brought %s (`sentiment experiments`, `dvc exp apply`)", folder.id, ", ".join(names))
    if status.state != FINISHED:
        log.error("error: job %s %s", folder.id, status.line)
        return 1
    return 0


def sagemaker_backend(args: argparse.Namespace) -> "SageMakerBackend":
    """Return SageMaker with the options of the command line; raises ParamsError for a tag that is not KEY=VALUE."""
    from sentiment.remote.sagemaker import SageMakerBackend, SageMakerOptions

    if wrong := [tag for tag in args.tag if "=" not in tag]:
        raise ParamsError(f"--tag {wrong[0]}: expected KEY=VALUE")
    names = [one.name for one in fields(SageMakerOptions) if one.name != "tags"]
    tags = dict(tag.split("=", 1) for tag in args.tag)
    return SageMakerBackend(SageMakerOptions(**{name: getattr(args, name) for name in names}, tags=tags))


def list_jobs(args: argparse.Namespace) -> int:
    """Print one line for each job: id, state, where, experiments."""
    from sentiment.remote.job import job_table
    from sentiment.storage.s3 import STORAGE, Remote

    sys.stdout.write(job_table(Remote.read(STORAGE)))
    return 0


def logs(args: argparse.Namespace) -> int:
    """Print the log of a job; with --follow until it ends."""
    from sentiment.remote import client
    from sentiment.remote.backends import backend_for
    from sentiment.remote.job import JobFolder
    from sentiment.remote.runner import FINISHED

    folder = JobFolder.open(args.id)
    job = folder.job()
    if not args.follow:
        sys.stdout.write(client.new_text(folder, 0)[0])
        return 0
    status = client.follow(folder, backend_for(job["on"]))
    log.info("job %s %s", args.id, status.line)
    return 0 if status.state == FINISHED else 1


def fetch(args: argparse.Namespace) -> int:
    """Bring what a job has pushed so far, and log its status; 1 where the job failed, was stopped or is lost."""
    from sentiment.remote import client
    from sentiment.remote.job import LOST, JobFolder
    from sentiment.remote.runner import FAILED, STOPPED

    folder = JobFolder.open(args.id)
    state, line = folder.state()
    names = client.fetch(folder, not args.no_data)
    log.info("job %s: %s; brought %s", args.id, line, ", ".join(names) or "no experiment")
    return 1 if state in (FAILED, STOPPED, LOST) else 0


def stop(args: argparse.Namespace) -> int:
    """Ask a job to stop, and wait until it has."""
    from sentiment.remote import client
    from sentiment.remote.backends import backend_for
    from sentiment.remote.job import JobFolder

    folder = JobFolder.open(args.id)
    log.info("job %s: %s", args.id, client.stop(folder, backend_for(folder.job()["on"])))
    return 0


def deploy(args: argparse.Namespace) -> int:
    """Create an endpoint and wait until it answers, or delete it."""
    from sentiment.remote import sagemaker

    if args.delete:
        deleted = sagemaker.undeploy(args.name)
        log.info("endpoint %s: deleted %s", args.name, ", ".join(deleted) or "nothing; there was none")
        return 0
    deployment = sagemaker.Deployment(
        args.name, args.classifier, args.image, args.role, args.instance_type, args.instances
    )
    log.info("endpoint %s: %s", args.name, sagemaker.deploy(deployment))
    return 0
