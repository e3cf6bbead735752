"""Fixtures that several folders of tests need: projects in temporary folders, a classifier, an S3 server, reviews."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from tests.project import Project, make_project

if TYPE_CHECKING:
    from sentiment.inference.classifier import SentimentClassifier
    from tests.s3_server import S3Server

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
            project = project_template.copy(shared / "unfinished")
            project.run("dvc", "repro")
            project.commit("Run the pipeline")
            project.root.rename(shared / "finished")
    return Project(shared / "finished")


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
    project = completed_template.copy(tmp_path_factory.mktemp("project_with_experiment") / "project")
    project.run("dvc", "exp", "run", "-n", "strict", "-S", "train.threshold=0.97")
    project.run("git", "reset", "--hard", "-q")
    project.run("dvc", "checkout", "-q")
    return project


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
    from tests.s3_server import running_server  # boto3, a second

    with running_server(project_template.clone(tmp_path_factory.mktemp("s3_server") / "project")) as server:
        yield server
