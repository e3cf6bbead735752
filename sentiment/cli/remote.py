"""Runs experiments on another machine with one command, and brings them back as if they had run here.

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
from pathlib import Path

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
    from sentiment.cli import remote_actions  # boto3: a second that --help does not take

    status: int = getattr(remote_actions, args.action if args.action != "list" else "list_jobs")(args)
    return status
