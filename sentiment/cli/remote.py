"""Runs experiments on another machine with one command, and brings them back as if they had run here.

    sentiment remote run -n slow -- -S train.learning_rate=0.001
    sentiment remote run -n grid -- -S train.learning_rate=0.001,0.01 -S train.batch_size=64,128
    sentiment remote list
    sentiment remote logs ID --follow
    sentiment remote fetch ID
    sentiment remote stop ID

What follows -- are arguments of `dvc exp run`; several values of -S make a grid. The job goes through the storage
remote (`dvc remote`), below jobs/ID/: closing this terminal loses nothing, and `fetch` brings the experiments later.
"""

import argparse
import logging
import sys
import time
from pathlib import Path

from sentiment.common.errors import ParamsError

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands of `sentiment remote`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    run = actions.add_parser("run", help="run experiments elsewhere and bring them back")
    run.add_argument("--on", nargs="+", default=["local"], metavar="PLACE", help="local (default)")
    run.add_argument("-n", "--name", help="of the experiment; of a grid: NAME-1, NAME-2, ...")
    run.add_argument("--include-changes", action="store_true", help="take changes that are not committed along")
    run.add_argument("--detach", action="store_true", help="print the job's id and return when it is sent")
    run.add_argument("--no-data", action="store_true", help="bring metrics and params, not the outputs")
    run.add_argument("--python", type=Path, help="an interpreter there that has requirements.txt installed")
    run.add_argument("--heartbeat", type=float, default=15.0, metavar="SECONDS", help="(default: %(default)s)")
    run.add_argument("arguments", nargs="*", metavar="-- ARGUMENTS", help="of dvc exp run")
    actions.add_parser("list", help="list the jobs, newest last")
    logs = actions.add_parser("logs", help="print the log of a job")
    logs.add_argument("id", metavar="ID")
    logs.add_argument("-f", "--follow", action="store_true", help="until the job ends")
    fetch = actions.add_parser("fetch", help="bring the experiments of a job")
    fetch.add_argument("id", metavar="ID")
    fetch.add_argument("--no-data", action="store_true", help="bring metrics and params, not the outputs")
    stop = actions.add_parser("stop", help="stop a job; what is complete is pushed")
    stop.add_argument("id", metavar="ID")


def main(args: argparse.Namespace) -> int:
    """Run one sub-command and return its exit status: 1 where a job failed."""
    actions = {"run": run, "list": list_jobs, "logs": logs, "fetch": fetch, "stop": stop}
    return actions[args.action](args)


def run(args: argparse.Namespace) -> int:
    """Send a job, start it, follow it, and bring its experiments."""
    from sentiment.remote.arguments import experiments  # boto3 and DVC: seconds, which --help does not take
    from sentiment.remote.places import backend_for
    from sentiment.remote.submit import submit

    if args.heartbeat <= 0:
        raise ParamsError(f"--heartbeat {args.heartbeat}: expected seconds above 0")
    backend = backend_for(args.on, args.python)
    begun = time.monotonic()
    folder = submit(args.on, experiments(args.arguments, args.name), args.include_changes, args.heartbeat)
    where = backend.start(folder)
    log.info("job %s: sent in %.1f s, runs as %s", folder.id, time.monotonic() - begun, where)
    if args.detach:
        sys.stdout.write(f"{folder.id}\n")
        return 0
    try:
        return finish(folder.id, args.no_data)
    except KeyboardInterrupt:
        log.info("job %s goes on; `sentiment remote logs -f`, `fetch` and `stop` take its id", folder.id)
        raise


def finish(job_id: str, no_data: bool) -> int:
    """Follow a job to its end and bring its experiments; return 0 where it finished, else 1."""
    from sentiment.remote.fetch import fetch
    from sentiment.remote.follow import follow
    from sentiment.remote.job import JobFolder
    from sentiment.remote.places import backend_of
    from sentiment.remote.runner.layout import FINISHED

    folder = JobFolder.open(job_id)
    status = follow(folder, backend_of(folder))
    names = fetch(folder, not no_data)
    if names:
        log.info("job %s: brought %s (`sentiment experiments`, `dvc exp apply`)", job_id, ", ".join(names))
    if status.state != FINISHED:
        log.error("error: job %s %s: %s", job_id, status.state, status.message)
        return 1
    return 0


def list_jobs(args: argparse.Namespace) -> int:
    """Print one line for each job: id, state, where, experiments."""
    from sentiment.remote.listing import job_table

    sys.stdout.write(job_table())
    return 0


def logs(args: argparse.Namespace) -> int:
    """Print the log of a job."""
    from sentiment.remote.follow import follow, read_log
    from sentiment.remote.job import JobFolder
    from sentiment.remote.places import backend_of
    from sentiment.remote.runner.layout import FINISHED

    folder = JobFolder.open(args.id)
    if not args.follow:
        folder.job()
        sys.stdout.write(read_log(folder))
        return 0
    status = follow(folder, backend_of(folder))
    log.info("job %s %s%s", args.id, status.state, f": {status.message}" if status.message else "")
    return 0 if status.state == FINISHED else 1


def fetch(args: argparse.Namespace) -> int:
    """Bring what a job has pushed so far, and say how it stands."""
    from sentiment.remote.fetch import fetch
    from sentiment.remote.job import JobFolder
    from sentiment.remote.listing import state_line
    from sentiment.remote.runner.layout import FAILED, STOPPED

    folder = JobFolder.open(args.id)
    state, line = state_line(folder)
    names = fetch(folder, not args.no_data)
    log.info("job %s: %s; brought %s", args.id, line, ", ".join(names) or "no experiment")
    return 1 if state in (FAILED, STOPPED, "lost") else 0


def stop(args: argparse.Namespace) -> int:
    """Ask a job to stop, and wait until it has."""
    from sentiment.remote.job import JobFolder
    from sentiment.remote.stop import stop

    log.info("job %s: %s", args.id, stop(JobFolder.open(args.id)))
    return 0
