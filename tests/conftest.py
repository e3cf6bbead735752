"""Fixtures that more than one test file needs: a real project in a temporary folder, and the real reviews.

A project is made of this checkout's code and of `tests/defaults`, never of what its user has made of params.yaml,
dvc.lock, .dvc/config, metrics and data.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from filelock import FileLock

from sentiment.common.files import write_text

if TYPE_CHECKING:
    from tests.s3_server import S3Server

ROOT = Path(__file__).parent.parent
DEFAULTS = Path(__file__).parent / "defaults"
SAMPLE = "data/raw/sample.csv"

pytest_plugins = ("tests.browser",)

IS_WORKER = bool(os.environ.get("PYTEST_XDIST_WORKER"))  # one of several processes that share the tests

os.environ["HF_HUB_OFFLINE"] = "1"  # read when transformers is imported; no test asks the Hub
if IS_WORKER:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # or each process wants all cores, and all of them wait

# the real settings, shrunk: every stage runs, none for long
SHRUNK: dict[str, dict[str, object]] = {
    "encode": {"max_length": 24},
    "train": {"epochs": 4, "learning_rate": 0.001, "batch_size": 64},
    "evaluate": {"n_resamples": 200},
}


# a test that uses one of these fixtures carries the marker
MARKERS_OF_FIXTURES = {
    "s3": {"s3_server", "own_s3_server"},
    "server": {"server", "start_server"},
    "browser": {"browser"},
}


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that start a server or a browser by the fixtures that start it."""
    for item in items:
        for marker, fixtures in MARKERS_OF_FIXTURES.items():
            if fixtures.intersection(getattr(item, "fixturenames", ())):
                item.add_marker(marker)


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
        return {**os.environ, **own, **more}

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

    def clone(self, to: Path) -> "Project":
        """Clone with git alone, as a colleague would: no DVC cache comes along."""
        self.run("git", "clone", "-q", str(self.root), str(to))
        return Project(to)


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


@pytest.fixture(scope="session")
def project_template(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The code of this checkout, committed in a fresh repository, nothing run yet, settings shrunk."""
    return make_project(tmp_path_factory.mktemp("template"), SHRUNK)


@pytest.fixture(scope="session")
def completed_template(project_template: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose pipeline has run, committed; made once, also for tests that run side by side."""
    shared = tmp_path_factory.getbasetemp().parent if IS_WORKER else tmp_path_factory.getbasetemp()
    with FileLock(shared / "completed_project.lock"):
        if not (shared / "finished").exists():
            project = _copy(project_template, shared / "unfinished")
            project.run("dvc", "repro")
            project.commit("Run the pipeline")
            project.root.rename(shared / "finished")
    return Project(shared / "finished")


@pytest.fixture
def project(project_template: Project, tmp_path: Path) -> Project:
    """A project of the test's own, nothing run yet."""
    return _copy(project_template, tmp_path / "project")


@pytest.fixture
def completed_project(completed_template: Project, tmp_path: Path) -> Project:
    """A project of the test's own whose pipeline has run."""
    return _copy(completed_template, tmp_path / "project")


@pytest.fixture(scope="session")
def project_with_experiment(completed_template: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with experiment `strict`, whose threshold few reviews reach; at HEAD, and only to be read."""
    project = _copy(completed_template, tmp_path_factory.mktemp("project_with_experiment") / "project")
    project.run("dvc", "exp", "run", "-n", "strict", "-S", "train.threshold=0.97")
    project.run("git", "reset", "--hard", "-q")
    project.run("dvc", "checkout", "-q")
    return project


def _copy(project: Project, to: Path) -> Project:
    shutil.copytree(project.root, to, symlinks=True)
    return Project(to)


@pytest.fixture(scope="session")
def reviews_csv() -> Path:
    """The real reviews, named by the environment variable REVIEWS_CSV."""
    path = os.environ.get("REVIEWS_CSV")
    if not path:
        pytest.skip("REVIEWS_CSV names no file of real reviews")
    return Path(path)


@pytest.fixture(scope="session")
def real_project(reviews_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose pipeline has run on all real reviews, default params; made once, and only to be read."""
    shared = tmp_path_factory.getbasetemp().parent if IS_WORKER else tmp_path_factory.getbasetemp()
    with FileLock(shared / "real_project.lock", timeout=1200):
        if not (shared / "real").exists():
            project = make_project(shared / "real_unfinished", {"prepare": {"source": "data/raw/reviews.csv"}})
            shutil.copy(reviews_csv, project.root / "data" / "raw" / "reviews.csv")
            project.run("dvc", "add", "-q", "data/raw/reviews.csv")
            project.run("dvc", "repro")
            project.commit("Run the pipeline on the real reviews")
            project.root.rename(shared / "real")
    return Project(shared / "real")


@pytest.fixture(scope="session")
def s3_server(project_template: Project, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[S3Server]":
    """A local S3 server for all tests of a session; every test writes below a prefix or into a bucket of its own."""
    from tests.s3_server import running_server  # it imports this module

    with running_server(project_template.clone(tmp_path_factory.mktemp("s3_server") / "project")) as server:
        yield server
