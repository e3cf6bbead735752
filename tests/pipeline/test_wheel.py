"""`make wheel` gives the same bytes twice, with every file of the package that git has; `make sbom` lists every pin."""

import json
import os
import re
import subprocess
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from tests.project import ROOT, Project, fresh_clone, link_environment


def build(folder: Path, modified: float) -> Path:
    """Build the committed files in a folder of their own, all with one time of modification."""
    clone = Project(ROOT).clone(folder)
    for path in folder.rglob("*"):  # before the environment is there
        os.utime(path, (modified, modified))
    link_environment(folder)
    clone.run("make", "wheel")
    [wheel] = (folder / "dist").glob("*.whl")
    return wheel


@pytest.mark.slow
def test_two_builds_have_equal_bytes_and_every_file(tmp_path: Path) -> None:
    wheels = [build(tmp_path / name, modified) for name, modified in (("first", 1.7e9), ("second", 1.75e9))]
    first, second = (sha256(wheel.read_bytes()).hexdigest() for wheel in wheels)
    assert first == second
    listed = subprocess.run(
        ["git", "ls-files", "sentiment"], cwd=tmp_path / "first", capture_output=True, text=True, timeout=60
    ).stdout.split()
    with zipfile.ZipFile(wheels[0]) as wheel:
        assert set(listed) <= set(wheel.namelist())


@pytest.mark.slow
def test_the_list_of_packages_has_every_pin(tmp_path: Path) -> None:
    clone = fresh_clone(tmp_path / "clone")
    clone.run("make", "sbom")
    document = json.loads((clone.root / "dist/sbom.json").read_text(encoding="utf-8"))
    pins = re.findall(
        r"^([\w.-]+)==([\w.+]+)", (clone.root / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert document["bomFormat"] == "CycloneDX"
    assert [(one["name"], one["version"]) for one in document["components"]] == pins
