"""Pages are read as a reader reads them; no command of theirs escapes the walk."""

import re
from pathlib import Path

import pytest

from tests.docs.blocks import RUNNABLE, missing_lines, read_blocks
from tests.project import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_commands_output_continued_lines_and_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- test: real -->\n```console\n$ one \\\n    two  # why\n1 file\n$ three\n```\n```yaml\na: 1\n```\n"
    )
    console, yaml = read_blocks(page)
    assert (console.line, console.language, console.when, yaml.when) == (2, "console", "real", "always")
    assert [(command.text, command.output) for command in console.commands()] == [
        ("one \\\n    two  # why", ["1 file"]),
        ("three", []),
    ]


def test_an_unknown_marker_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- test: sometimes -->\n```console\n$ one\n```\n")
    with pytest.raises(ValueError, match="unknown marker"):
        read_blocks(page)


@pytest.mark.parametrize(
    ("shown", "printed", "missing"),
    [
        (["accuracy 0.91"], "accuracy  0.89", []),
        (["positive  0.9  Soft"], "negative  0.1  Soft", ["positive  0.9  Soft"]),
        (["b", "a"], "a\nb", ["a"]),
        (["a", "...", "c"], "a\nb\nc", []),
        (["key developer-326b269bf569"], "key developer-000000000001", []),
    ],
)
def test_shown_output_is_compared_without_its_numbers(shown: list[str], printed: str, missing: list[str]) -> None:
    assert missing_lines(shown, printed) == missing


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_command_of_a_page_is_in_a_block_that_can_be_run(page: Path) -> None:
    """An indented block or one of another language would never be run."""
    command = re.compile(r"\s*(\$ )?(dvc|make|sentiment|git|aws|python|pip) \w")
    outside, fenced = [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        fenced = not fenced if line.startswith("```") else fenced
        if not fenced and line.startswith("    ") and command.match(line):
            outside.append(line)
    others = [block for block in read_blocks(page) if block.language not in RUNNABLE]
    outside += [line for block in others for line in block.text.splitlines() if command.match(line)]
    assert outside == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_within_the_project_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
