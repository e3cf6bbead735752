"""The sub-commands of `sentiment remote`: parsed arguments in, exit status out (see sentiment/cli/remote.py)."""

import argparse
import logging
import sys
import time

from sentiment.common.errors import ParamsError
from sentiment.remote import deploy as endpoints
from sentiment.remote.arguments import experiments
from sentiment.remote.backend_selection import backend_for, backend_of
from sentiment.remote.fetch import fetch as fetch_experiments
from sentiment.remote.follow import follow, read_log
from sentiment.remote.job import JobFolder
from sentiment.remote.listing import LOST, job_table, read_status, state_line
from sentiment.remote.runner.layout import FAILED, FINISHED, STOPPED
from sentiment.remote.sagemaker_options import SageMakerOptions
from sentiment.remote.stop import stop as stop_job
from sentiment.remote.submit import submit

log = logging.getLogger(__name__)


def run(args: argparse.Namespace) -> int:
    """Send a job, start it, follow it, and bring its experiments."""
    if args.heartbeat <= 0:
        raise ParamsError(f"--heartbeat {args.heartbeat}: expected seconds above 0")
    backend = backend_for(args.on, args.python, sagemaker_options(args))
    backend.check()
    runs = experiments(args.arguments, args.name)
    begun = time.monotonic()
    folder = submit(args.on, runs, args.include_changes, args.heartbeat)
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
        status = follow(folder, backend)
    except KeyboardInterrupt:
        log.info("job %s goes on; `sentiment remote logs -f`, `fetch` and `stop` take its id", folder.id)
        raise
    if names := fetch_experiments(folder, not args.no_data):
        log.info("job %s: brought %s (`sentiment experiments`, `dvc exp apply`)", folder.id, ", ".join(names))
    if status.state != FINISHED:
        log.error("error: job %s %s", folder.id, status.line)
        return 1
    return 0


def sagemaker_options(args: argparse.Namespace) -> SageMakerOptions:
    """Return the options of SageMaker; raises ParamsError for a tag that is not KEY=VALUE."""
    if wrong := [tag for tag in args.tag if "=" not in tag]:
        raise ParamsError(f"--tag {wrong[0]}: expected KEY=VALUE")
    return SageMakerOptions(
        role=args.role,
        instance_type=args.instance_type,
        image=args.image,
        spot=args.spot,
        max_hours=args.max_hours,
        max_wait_hours=args.max_wait_hours,
        volume_gb=args.volume_gb,
        subnets=args.subnets,
        security_groups=args.security_groups,
        tags=dict(tag.split("=", 1) for tag in args.tag),
    )


def list_jobs(args: argparse.Namespace) -> int:
    """Print one line for each job: id, state, where, experiments."""
    sys.stdout.write(job_table())
    return 0


def logs(args: argparse.Namespace) -> int:
    """Print the log of a job; with --follow until it ends."""
    folder = JobFolder.open(args.id)
    if not args.follow:
        folder.job()
        sys.stdout.write(read_log(folder))
        return 0
    status = follow(folder, backend_of(folder))
    log.info("job %s %s", args.id, status.line)
    return 0 if status.state == FINISHED else 1


def fetch(args: argparse.Namespace) -> int:
    """Bring what a job has pushed so far, and log its status."""
    folder = JobFolder.open(args.id)
    state, line = state_line(folder.job(), read_status(folder))
    names = fetch_experiments(folder, not args.no_data)
    log.info("job %s: %s; brought %s", args.id, line, ", ".join(names) or "no experiment")
    return 1 if state in (FAILED, STOPPED, LOST) else 0


def stop(args: argparse.Namespace) -> int:
    """Ask a job to stop, and wait until it has."""
    log.info("job %s: %s", args.id, stop_job(JobFolder.open(args.id)))
    return 0


def deploy(args: argparse.Namespace) -> int:
    """Create an endpoint and wait until it answers, or delete it."""
    if args.delete:
        deleted = endpoints.undeploy(args.name)
        log.info("endpoint %s: deleted %s", args.name, ", ".join(deleted) or "nothing; there was none")
        return 0
    deployment = endpoints.Deployment(
        args.name, args.classifier, args.image, args.role, args.instance_type, args.instances
    )
    log.info("endpoint %s: %s", args.name, endpoints.deploy(deployment))
    return 0
