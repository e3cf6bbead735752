"""The package with the base dependencies alone labels texts, and names the extra that anything else needs."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.project import ROOT

pytestmark = pytest.mark.slow  # installs an environment


@pytest.fixture(scope="module")
def base_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the package's base dependencies in the versions of the lock, as links to this environment.

    What uv resolves from the lock says which distributions belong to it; their files are those that are installed here.
    """
    folder = tmp_path_factory.mktemp("base")
    base = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (folder / "base.in").write_text("\n".join(base) + "\n")
    compiled = subprocess.run(
        ["uv", "pip", "compile", "base.in", "--constraint", str(ROOT / "requirements.txt"), "--quiet", "--no-header"],
        cwd=folder, capture_output=True, text=True, timeout=300, check=False, env=environment(),
    )  # fmt: skip
    if compiled.returncode:
        pytest.skip(f"no package index: {compiled.stderr.strip().splitlines()[-1]}")
    names = re.findall(r"^([\w.-]+)==", compiled.stdout, re.MULTILINE)
    site = folder / "site"
    site.mkdir()
    from importlib.metadata import PackageNotFoundError, distribution

    for name in names:
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # of another system
        for top in {file.parts[0] for file in found.files or [] if file.parts[0] != ".."}:
            source = Path(str(found.locate_file(top)))
            if source.exists() and not (site / top).exists():
                (site / top).symlink_to(source)
    (site / "sentiment").symlink_to(ROOT / "sentiment")
    return site


def environment() -> dict[str, str]:
    """Return this environment with the commands of this interpreter first."""
    return {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}


def run(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command with the packages of `site` and no others."""
    program = f"import sys; sys.path.insert(0, {str(site)!r}); from sentiment.cli.app import main; main()"
    command = [sys.executable, "-I", "-S", "-c", program, *arguments]
    return subprocess.run(command, cwd=site, env=environment(), capture_output=True, text=True, timeout=120)


def test_the_base_labels_texts_and_files(base_environment: Path, classifier: Path, tmp_path: Path) -> None:
    for name in ("pandas", "sklearn", "dvc", "boto3", "transformers", "vl_convert", "fastapi"):
        assert not (base_environment / name).exists(), name
    text = run(base_environment, "predict", "--classifier", str(classifier), "I love this dress")
    assert re.search(r"^1,0\.\d+,", text.stdout, re.MULTILINE), text.stderr
    labels = tmp_path / "labels.parquet"
    sample = str(ROOT / "data/raw/sample.csv")
    file = run(base_environment, "predict", "--classifier", str(classifier), sample, "--output", str(labels))
    assert file.returncode == 0, file.stderr
    assert labels.stat().st_size > 0


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("predict", "s3://bucket/reviews.csv"), "s3"),
        (("serve",), "serve"),
        (("insights", str(ROOT / "data/raw/sample.csv")), "pipeline"),
        (("report",), "report"),
        (("doctor",), "pipeline"),
        (("push",), "pipeline"),
        (("baseline",), "pipeline"),
    ],
)
def test_what_needs_an_extra_names_it_in_one_line(
    base_environment: Path, classifier: Path, arguments: tuple[str, ...], extra: str
) -> None:
    if arguments[0] in ("predict", "insights", "serve"):
        arguments = (*arguments, "--classifier", str(classifier))
    done = run(base_environment, *arguments)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"pip install 'frozen-albert-sentiment[{extra}]'" in line


def test_the_machines_of_a_ray_cluster_get_what_s3_inputs_need() -> None:
    """`deploy/ray.yaml` installs `requirements-ray.txt` alone."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    needed = {re.split("[<>=]", one)[0] for name in ("ray", "s3") for one in extras[name]}
    locked = re.findall(r"^([\w.-]+)(?:\[\w+\])?==", (ROOT / "requirements-ray.txt").read_text(), re.MULTILINE)
    assert {re.sub(r"\[.*", "", one) for one in needed} <= set(locked)
