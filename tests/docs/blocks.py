"""Read the fenced code blocks of a Markdown page: their commands, and the output that the page shows for them.

A comment on the line before a block says when it runs; without one it always runs:

    <!-- test: real -->         needs the real reviews (REVIEWS_CSV)
    <!-- test: network -->      needs the internet (DOCS_NETWORK=1)
    <!-- test: fails -->        its last command ends with an error
    <!-- test: no, REASON -->   is never run
"""

import re
from dataclasses import dataclass
from pathlib import Path

RUNNABLE = {"console", "python"}
_FENCE = re.compile(r"^```(\w*)\s*$")
_MARKER = re.compile(r"^<!-- test: (?P<when>real|network|fails|no, .+?) -->$")
_PROMPT = "$ "


@dataclass(frozen=True)
class Command:
    """A command, and the lines that the page shows below it."""

    text: str
    output: list[str]


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, the line of its fence, its language, when it runs, and its text."""

    page: Path
    line: int
    language: str
    when: str
    text: str

    def commands(self) -> list[Command]:
        """Return the commands of a console block in order; a line without a prompt is output."""
        commands: list[Command] = []
        continued = False
        for line in self.text.splitlines():
            if continued:
                last = commands.pop()
                commands.append(Command(f"{last.text}\n{line}", last.output))
            elif line.startswith(_PROMPT):
                commands.append(Command(line.removeprefix(_PROMPT), []))
            elif line.strip():
                commands[-1].output.append(line)
            continued = bool(commands) and not commands[-1].output and line.endswith("\\")
        return commands


def read_blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in order; raise ValueError for a marker that is none of the known ones."""
    lines = page.read_text(encoding="utf-8").splitlines()
    blocks: list[Block] = []
    start: int | None = None
    language = ""
    for number, line in enumerate(lines):
        if start is None and (fence := _FENCE.match(line)):
            start, language = number, fence[1]
        elif start is not None and line == "```":
            when = _when(page, start, lines[start - 1] if start else "")
            blocks.append(Block(page, start + 1, language, when, "\n".join(lines[start + 1 : number])))
            start = None
    return blocks


def _when(page: Path, line: int, before: str) -> str:
    if "<!-- test" not in before:
        return "always"
    marker = _MARKER.match(before)
    if not marker:
        raise ValueError(f"{page}:{line}: unknown marker {before!r}")
    return marker["when"]


def normalize(line: str) -> str:
    """Return a line of output without what differs between runs: numbers, hashes, spaces."""
    line = re.sub(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b", "#", line)
    return " ".join(re.sub(r"[-+]?\d[\d,.]*\b", "#", line).split())


def missing_lines(shown: list[str], printed: str) -> list[str]:
    """Return the shown lines that were not printed in this order; `...` stands for any lines."""
    lines = iter([normalize(line) for line in printed.splitlines()])
    return [line for line in shown if line.strip() != "..." and normalize(line) not in lines]
