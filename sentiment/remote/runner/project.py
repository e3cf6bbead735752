"""The project of a job: bundle in, a checkout with its DVC settings out; and experiments as a bundle of references."""

from pathlib import Path
from typing import Any

from .command import Commands
from .layout import EXPERIMENT_REF

SETTINGS = ("url", "endpointurl", "region", "use_ssl", "ssl_verify")


def check_out(bundle: Path, job: dict[str, Any], commands: Commands, folder: Path) -> None:
    """Check out the commit of a job in `folder`, and over it the changes that were not committed.

    An experiment's baseline is the commit, as where it was sent from; `dvc exp run` takes the changes along.
    """
    run = commands.output
    run("git", "init", "-q")
    run("git", "fetch", "-q", str(bundle), "+refs/*:refs/*")
    run("git", "checkout", "-q", "--detach", job["commit"])
    for key in ("name", "email"):
        run("git", "config", f"user.{key}", job["author"][key])
    if job["changes"]:
        run("git", "restore", f"--source={job['changes']}", "--worktree", "--", ".")
    config = folder / ".dvc" / "config.local"
    remote = job["remote"]
    lines = [f"    {key} = {remote[key]}" for key in SETTINGS if remote.get(key) not in (None, "")]
    config.write_text("\n".join([f"['remote \"{remote['name']}\"']", *lines, ""]), encoding="utf-8")


def experiment_refs(commands: Commands) -> dict[str, str]:
    """Return the references of the experiments here by their names."""
    refs = commands.output("git", "for-each-ref", "--format=%(refname)", "refs/exps").splitlines()
    matches = [EXPERIMENT_REF.fullmatch(ref) for ref in refs]
    return {match[1]: match[0] for match in matches if match}


def bundle_experiments(commands: Commands, commit: str, to: Path) -> bytes | None:
    """Return a git bundle of the experiments without the history that they start from; None where there are none."""
    refs = sorted(experiment_refs(commands).values())
    if not refs:
        return None
    commands.output("git", "bundle", "create", "-q", str(to), *refs, f"^{commit}")
    return to.read_bytes()
