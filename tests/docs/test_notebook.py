"""docs/notebook.ipynb runs in Jupyter from top to bottom, shows what it says, and leaves the last commit."""

import json
from html import unescape
from pathlib import Path

import pytest

from tests.project import ROOT, fresh_clone


@pytest.mark.slow
def test_the_notebook_runs_from_a_fresh_clone_and_leaves_nothing(tmp_path: Path) -> None:
    clone = fresh_clone(tmp_path / "a clone")
    clone.run("make", "notebook")
    page = unescape((clone.root / ".site/notebook.html").read_text(encoding="utf-8"))
    metrics = json.loads((clone.root / "metrics/val.json").read_text())
    assert f"{metrics['accuracy']:.6f}" in page
    assert "A = HEAD, B = notebook: 204 val reviews" in page
    assert "background: rgba(" in page
    assert "<td>Poor quality, I sent it back</td>" in page
    assert clone.run("git", "status", "--short").stdout == ""
    notebook = json.loads((ROOT / "docs/notebook.ipynb").read_text(encoding="utf-8"))
    assert all(cell.get("outputs", []) == [] for cell in notebook["cells"]), "outputs are not for git"
