"""Fixtures that several folders of tests need: projects in temporary folders, a classifier, an S3 server, reviews."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from tests.project import Project, copy_reviews, make_project

if TYPE_CHECKING:
    from sentiment.inference.classifier import SentimentClassifier
    from tests.s3_server import S3Server

pytest_plugins = ("tests.browser",)

N_REAL_REVIEWS = 1_500

IS_WORKER = bool(os.environ.get("PYTEST_XDIST_WORKER"))  # one of several processes that share the tests

os.environ["HF_HUB_OFFLINE"] = "1"  # read when transformers is imported; no test asks the Hub
# with this variable, pytest and each process that a test starts would compile every module
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
if IS_WORKER:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # or each process wants all cores, and all of them wait
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # two threads of Ray's workers would wait for each other busily
    os.environ.setdefault("RAY_worker_niceness", "0")  # else 15: they would wait for every other test

# the real settings, shrunk: every stage runs, none for long
SHRUNK: dict[str, dict[str, object]] = {
    "encode": {"max_length": 24},
    "train": {"solver": "adam", "words": False, "l2": 0.0, "epochs": 4, "learning_rate": 0.001, "batch_size": 64},
    "check": {"cases": 20},
    "evaluate": {"n_resamples": 200},
}


# a test that uses one of these fixtures carries the marker
MARKERS_OF_FIXTURES = {
    "project": {"project_template", "project_with_experiment", "real_project"},
    "s3": {"s3_server", "own_s3_server"},
    "server": {"server", "start_server"},
    "browser": {"browser"},
}


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that run a project, a server or a browser by the fixtures that start it."""
    for item in items:
        for marker, fixtures in MARKERS_OF_FIXTURES.items():
            if fixtures.intersection(getattr(item, "fixturenames", ())):
                item.add_marker(marker)


def made_once(name: str, make: Callable[[Path], Project], factory: pytest.TempPathFactory) -> Project:
    """Return the project that `make` makes in a folder, made once for all processes that run tests side by side."""
    shared = factory.getbasetemp().parent if IS_WORKER else factory.getbasetemp()
    with FileLock(shared / f"{name}.lock", timeout=1_200):
        if not (shared / name).exists():
            make(shared / f"{name}-unfinished").root.rename(shared / name)
    return Project(shared / name)


@pytest.fixture(scope="session")
def project_template(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The code of this checkout, committed in a fresh repository, nothing run yet, settings shrunk."""
    return make_project(tmp_path_factory.mktemp("template"), SHRUNK)


@pytest.fixture(scope="session")
def completed_template(project_template: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose pipeline has run, committed; only to be read."""

    def make(root: Path) -> Project:
        project = project_template.copy(root)
        project.run("dvc", "repro")
        project.commit("Run the pipeline")
        return project

    return made_once("completed", make, tmp_path_factory)


@pytest.fixture
def project(project_template: Project, tmp_path: Path) -> Project:
    """A project of the test's own, nothing run yet."""
    return project_template.copy(tmp_path / "project")


@pytest.fixture
def completed_project(completed_template: Project, tmp_path: Path) -> Project:
    """A project of the test's own whose pipeline has run."""
    return completed_template.copy(tmp_path / "project")


@pytest.fixture(scope="session")
def project_with_experiment(completed_template: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with experiment `strict`, whose threshold few reviews reach; at HEAD, and only to be read."""

    def make(root: Path) -> Project:
        project = completed_template.copy(root)
        project.run("dvc", "exp", "run", "-n", "strict", "-S", "train.threshold=0.97")
        project.run("git", "reset", "--hard", "-q")
        project.run("dvc", "checkout", "-q")
        return project

    # a copy for each process: DVC locks a project
    return made_once("with_experiment", make, tmp_path_factory).copy(tmp_path_factory.mktemp("copy") / "project")


@pytest.fixture(scope="session")
def classifier(completed_template: Project) -> Path:
    """The folder of a classifier that the pipeline has trained; only to be read."""
    return completed_template.root / "models" / "classifier"


@pytest.fixture(scope="session")
def sentiment(classifier: Path) -> "SentimentClassifier":
    """That classifier, loaded."""
    from sentiment.inference.classifier import SentimentClassifier  # torch, seconds

    return SentimentClassifier.load(classifier)


@pytest.fixture(scope="session")
def reviews_csv() -> Path:
    """The real reviews, named by the environment variable REVIEWS_CSV."""
    path = os.environ.get("REVIEWS_CSV")
    if not path:
        pytest.skip("REVIEWS_CSV names no file of real reviews")
    return Path(path)


@pytest.fixture(scope="session")
def public_data() -> Path:
    """The folder of public data, named by the environment variable PUBLIC_DATA."""
    path = os.environ.get("PUBLIC_DATA")
    if not path:
        pytest.skip("PUBLIC_DATA names no folder of public data")
    return Path(path)


@pytest.fixture(scope="session")
def real_project(reviews_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose pipeline has run on the first real reviews, default params but for `check`; only to be read."""

    def make(root: Path) -> Project:
        project = make_project(root, {"prepare": {"source": "data/raw/reviews.csv"}, "check": SHRUNK["check"]})
        copy_reviews(reviews_csv, project.root / "data" / "raw" / "reviews.csv", N_REAL_REVIEWS)
        project.run("dvc", "add", "-q", "data/raw/reviews.csv")
        project.run("dvc", "repro")
        project.commit("Run the pipeline on the real reviews")
        return project

    return made_once("real", make, tmp_path_factory)


@pytest.fixture(scope="session")
def s3_server(project_template: Project, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[S3Server]":
    """A local S3 server for all tests of a session; every test writes below a prefix or into a bucket of its own."""
    from tests.s3_server import running_server  # boto3, a second

    with running_server(project_template.clone(tmp_path_factory.mktemp("s3_server") / "project")) as server:
        yield server
