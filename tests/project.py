"""Make git and DVC repositories for tests: this checkout's code and the parameters of `tests/defaults`.

Nothing that the checkout's user changes goes in: params.yaml, dvc.lock, .dvc/config, metrics and data.
"""

import csv
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import yaml

from sentiment.common.files import write_text

ROOT = Path(__file__).parent.parent
DEFAULTS = Path(__file__).parent / "defaults"
SAMPLE = "data/raw/sample.csv"
BUNDLED = ROOT / "models" / "encoders" / "reviews-albert"


@dataclass(frozen=True)
class Project:
    """A git and DVC repository of its own, with this project's files in it."""

    root: Path

    def run(self, *command: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the project, with the `python`, `dvc` and `git` of this environment."""
        done = subprocess.run(
            command, cwd=self.root, env=self.environment(**env), text=True, capture_output=True, timeout=600
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def environment(self, **more: str) -> dict[str, str]:
        """Return this environment, kept away from the user's own git and DVC settings."""
        own = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "DVC_GLOBAL_CONFIG_DIR": str(self.root / ".git" / "dvc-global"),
            "DVC_SITE_CACHE_DIR": str(self.root / ".git" / "dvc-site"),
        }
        for person in ("AUTHOR", "COMMITTER"):
            own |= {f"GIT_{person}_NAME": "Test", f"GIT_{person}_EMAIL": "test@example.com"}
        # what `make test` tells the programs it starts: a make among them would say which folder it enters
        outer = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"}
        return {name: value for name, value in os.environ.items() if name not in outer} | own | more

    def commit(self, message: str) -> str:
        """Commit every change; return the commit."""
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "-m", message)
        return self.run("git", "rev-parse", "HEAD").stdout.strip()

    def set_params(self, **sections: dict[str, object]) -> None:
        """Change keys of params.yaml, as a new file.

        Git can miss a change in place that keeps the size and falls into the second of the checkout.
        """
        path = self.root / "params.yaml"
        params = yaml.safe_load(path.read_text())
        for name, keys in sections.items():
            params[name] |= keys
        write_text(path, yaml.safe_dump(params, sort_keys=False))

    def experiment(self, name: str) -> str:
        """Return the git reference of an experiment."""
        listed = self.run("git", "for-each-ref", "--format=%(refname)", "refs/exps").stdout.split()
        return next(ref for ref in listed if ref.endswith(f"/{name}"))

    def copy(self, to: Path) -> "Project":
        """Copy everything, caches and uncommitted changes with it."""
        shutil.copytree(self.root, to, symlinks=True)
        return Project(to)

    def clone(self, to: Path) -> "Project":
        """Clone with git alone, as a colleague would: no DVC cache comes along."""
        self.run("git", "clone", "-q", str(self.root), str(to))
        return Project(to)


def link_environment(root: Path) -> None:
    """Link this environment to .venv, for targets of make: an installation takes minutes and the network."""
    (root / ".venv").mkdir()
    for entry in Path(sys.prefix).iterdir():
        if entry.name != ".installed":
            (root / ".venv" / entry.name).symlink_to(entry)
    (root / ".venv" / ".installed").touch()


def fresh_clone(folder: Path) -> Project:
    """Clone the checkout's commit into a new folder, with this environment in .venv."""
    cloned = Project(ROOT).clone(folder)
    link_environment(folder)
    return cloned


def copy_reviews(source: Path, target: Path, n_reviews: int) -> None:
    """Write the header and the first reviews of a CSV file to another file, or to the same one."""
    with source.open(encoding="utf-8", newline="") as file:
        rows = list(islice(csv.reader(file), 1 + n_reviews))
    with target.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def code_files() -> list[str]:
    """Return the files of this checkout that its user does not change by using it, relative to its root."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    names = [name for name in listed.stdout.decode().split("\0") if (ROOT / name).is_file()]
    return [name for name in names if name == SAMPLE or not _belongs_to_the_user(Path(name))]


def _belongs_to_the_user(path: Path) -> bool:
    own_files = {"params.yaml", "dvc.lock", ".dvc/config"}
    return path.as_posix() in own_files or path.parts[0] in {"data", "metrics"} or path.suffix == ".dvc"


def make_project(root: Path, params: dict[str, dict[str, object]]) -> Project:
    """Return this checkout's code with the default parameters, some of them changed, in one commit below `root`."""
    for name in code_files():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    shutil.copy(DEFAULTS / "params.yaml", root / "params.yaml")
    shutil.copy(DEFAULTS / "dvc_config", root / ".dvc" / "config")
    project = Project(root)
    project.run("git", "init", "-q", "-b", "main")
    project.set_params(**params)
    project.commit("The project")
    return project
