"""Names of objects below jobs/ID/, and the states of a job; the runner and the client both use them."""

import re

JOBS = "jobs"
INPUT = "input"  # what SageMaker mounts as a channel
JOB, BUNDLE, RUNNER = "input/job.json", "input/repo.bundle", "input/runner.pyz"
STATUS, STOP, EXPERIMENTS = "status.json", "stop", "experiments.bundle"

PREPARING, RUNNING, PUSHING = "preparing", "running", "pushing"
FINISHED, FAILED, STOPPED = "finished", "failed", "stopped"
FINAL = (FINISHED, FAILED, STOPPED)

HEARTBEAT_S = 15.0
MISSED_HEARTBEATS = 4  # after as many the runner counts as gone

JOB_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")  # of an experiment: a component of a git reference
COMMIT = re.compile(r"[0-9a-f]{40}")
EXPERIMENT_REF = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/([A-Za-z0-9][A-Za-z0-9_.-]{0,99})")


def log_part(number: int) -> str:
    """Return the name of one part of the log; S3 cannot append, so each part is an object."""
    return f"log/{number:06d}.txt"
