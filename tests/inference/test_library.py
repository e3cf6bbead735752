"""SentimentClassifier as its docstrings show it, and as a wheel that is installed elsewhere."""

import doctest
import subprocess
import sys
from pathlib import Path

import pytest

import sentiment.inference.classifier
from tests.project import ROOT, Project


def test_the_examples_in_the_docstrings_hold(completed_template: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(completed_template.root)
    result = doctest.testmod(sentiment.inference.classifier)
    assert result.attempted >= 6
    assert result.failed == 0


@pytest.mark.slow
def test_an_installed_wheel_labels_a_text_with_a_copied_classifier(classifier: Path, tmp_path: Path) -> None:
    """The wheel and its dependencies, a classifier's folder, and nothing else of the checkout."""
    source = tmp_path / "source"
    names = ["pyproject.toml", "README.md", "LICENSE", "sentiment"]
    subprocess.run(["cp", "-r", *(str(ROOT / name) for name in names), f"{source.parent}/"], check=True)
    source.mkdir()
    for name in names:
        (tmp_path / name).rename(source / name)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(tmp_path / "site"), str(source)], check=True, timeout=300)
    (tmp_path / "elsewhere").mkdir()
    subprocess.run(["cp", "-r", str(classifier), str(tmp_path / "elsewhere" / "my-classifier")], check=True)
    program = """
import sentiment
from sentiment import SentimentClassifier
print(sentiment.__file__)
print(SentimentClassifier.load("my-classifier").predict(["I love this dress, it fits perfectly"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path / "elsewhere",
        env={"PATH": "", "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    file, labels = done.stdout.splitlines()
    assert file.startswith(str(tmp_path / "site"))
    assert labels == "['positive']"
