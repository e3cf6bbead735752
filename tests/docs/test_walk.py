"""README and docs, command by command and in order, in a fresh clone in a path with a blank: what a newcomer sees.

On the sample; with REVIEWS_CSV, README on the real reviews, which a local S3 server gives out in the stead of the
public bucket. Of both, the first reviews: every command works alike on them. Each page must leave a clean `git status`.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.docs.blocks import RUNNABLE, Block, missing_lines, read_blocks
from tests.project import ROOT, SAMPLE, Project, copy_reviews, link_environment, make_project
from tests.s3_server import free_port

pytestmark = [pytest.mark.slow, pytest.mark.s3]

REVIEWS_CSV = os.environ.get("REVIEWS_CSV")
NETWORK = os.environ.get("DOCS_NETWORK") == "1"
FIRST = [ROOT / "README.md"]
PAGES = [
    *FIRST,
    *(page for page in sorted((ROOT / "docs").glob("*.md")) if page not in FIRST),
    ROOT / "CONTRIBUTING.md",
]
FOLDER = "frozen albert sentiment"  # with blanks, as below "My Documents"
N_SAMPLE = 800  # enough for the labels that the pages show
N_REAL = 1_000
BLOCK_SECONDS = 600
END = "\x1e"  # printed after each command, with its exit status
AWS_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")


def runs(block: Block) -> bool:
    if block.language not in RUNNABLE or block.when.startswith("no"):
        return False
    return {"real": bool(REVIEWS_CSV) and block.page in FIRST, "network": NETWORK}.get(block.when, True)


@cache
def port_of(root: Path) -> int:
    """Return the port of a clone's S3 server."""
    return free_port()


def public_reviews(root: Path) -> Path:
    """Return the file beside a clone that its S3 server gives out as the public reviews, where there is one."""
    return root.parent / "public_reviews.csv"


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """What is cloned: this checkout's code, and the results of the default pipeline, with fewer behavioral cases."""
    origin = make_project(tmp_path_factory.mktemp("origin"), {"check": {"cases": 20}})
    copy_reviews(origin.root / SAMPLE, origin.root / SAMPLE, N_SAMPLE)
    origin.run("dvc", "repro")
    origin.commit("Results")
    origin.run("git", "config", "receive.denyCurrentBranch", "ignore")
    return origin


@pytest.fixture(scope="module")
def clone(origin: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A fresh clone with its virtual environment, as `make setup` would leave it."""
    cloned = origin.clone(tmp_path_factory.mktemp("walk") / FOLDER)
    link_environment(cloned.root)
    yield cloned
    shell(cloned, "make s3-stop")


@pytest.fixture(scope="module")
def clone_with_sample(origin: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Another one, which stays with the sample; its pipeline has run, and the cache is that of the origin."""
    cloned = origin.clone(tmp_path_factory.mktemp("walk_sample") / FOLDER)
    link_environment(cloned.root)
    shutil.copytree(origin.root / ".dvc" / "cache", cloned.root / ".dvc" / "cache")
    cloned.run("dvc", "checkout")
    yield cloned
    shell(cloned, "make s3-stop")


def shell(project: Project, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in the clone as in an activated environment; both streams come as stdout."""
    source = public_reviews(project.root)
    own = {
        "PATH": os.pathsep.join([str(project.root / ".venv" / "bin"), os.environ["PATH"]]),
        "PYTHONPATH": str(project.root),  # the environment's own editable install is that of another checkout
        "PORT": str(port_of(project.root)),
        "AWS_EC2_METADATA_DISABLED": "true",
        **({"SOURCE": str(source)} if source.exists() else {}),
    }
    environment = {**project.environment(), **own}
    environment = {name: value for name, value in environment.items() if name not in AWS_VARIABLES}
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"exec 2>&1\n{script}"],
        cwd=project.root, env=environment, text=True, capture_output=True, stdin=subprocess.DEVNULL,
        timeout=BLOCK_SECONDS,
    )  # fmt: skip


def run_console(project: Project, block: Block) -> None:
    """Run the commands of a block in one shell; check their exit and what the page shows of their output."""
    commands = block.commands()
    script = "\n".join(f"{command.text}\nprintf '{END}%d{END}' $?" for command in commands)
    printed = shell(project, script).stdout.split(END)
    for number, command in enumerate(commands):
        where = f"{block.page.name}:{block.line}: {command.text}"
        output, status = printed[2 * number], int(printed[2 * number + 1])
        fails = block.when == "fails" and command is commands[-1]
        assert (status != 0) == fails, f"{where}\nexited with {status}\n{output[-3000:]}"
        assert "Traceback" not in output, f"{where}\n{output[-3000:]}"
        missing = missing_lines(command.output, output)
        assert not missing, f"{where}\nThe page shows {missing}, which was not printed:\n{output[-3000:]}"


def run_python(project: Project, block: Block) -> None:
    done = shell(project, f"python - <<'PYTHON'\n{block.text}\nPYTHON")
    assert done.returncode == 0, f"{block.page.name}:{block.line}\n{done.stdout[-3000:]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_command_of_a_page_works_and_the_page_leaves_nothing_behind(
    request: pytest.FixtureRequest, page: Path
) -> None:
    clone: Project = request.getfixturevalue("clone" if page in FIRST else "clone_with_sample")
    if REVIEWS_CSV and page == PAGES[0]:
        copy_reviews(Path(REVIEWS_CSV), public_reviews(clone.root), N_REAL)
        shell(clone, "make s3")  # gives out the reviews in the stead of the public bucket
    for block in filter(runs, read_blocks(page)):
        run_console(clone, block) if block.language == "console" else run_python(clone, block)
    assert clone.run("git", "status", "--porcelain").stdout == "", f"after {page.name}"
