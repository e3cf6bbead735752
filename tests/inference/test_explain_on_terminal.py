"""`sentiment predict --explain` on a terminal: colors that show how much each word contributes."""

import os
import pty
import re
import subprocess

import pytest

from sentiment.inference.classifier import SentimentClassifier
from tests.inference.conftest import EXPLAIN, TEXT
from tests.project import Project

ESCAPE = re.compile(r"\x1b\[([0-9;]*)m")


def on_terminal(project: Project, *arguments: str, **env: str) -> str:
    """What the command shows on a terminal of 60 columns."""
    terminal, its_end = pty.openpty()
    environment = {key: value for key, value in project.environment().items() if key != "NO_COLOR"}
    environment |= {"TERM": "xterm-256color", "COLUMNS": "60"} | env
    with subprocess.Popen(
        [*EXPLAIN, *arguments], cwd=project.root, env=environment, stdout=its_end, stderr=subprocess.DEVNULL
    ) as process:
        os.close(its_end)
        shown = b""
        try:
            while part := os.read(terminal, 65_536):
                shown += part
        except OSError:  # what reading a terminal gives once its other end is closed
            assert process.wait(60) == 0
        finally:
            os.close(terminal)
            process.kill()
    return shown.decode().replace("\r\n", "\n")


def body(shown: str) -> list[str]:
    """The lines of the text column, without escape codes."""
    return [line[len("positive  0.000  ") :] for line in ESCAPE.sub("", shown).splitlines()]


def styles(shown: str) -> dict[str, str]:
    """The escape codes of each colored word."""
    return {word: codes for codes, word in re.findall(r"\x1b\[([0-9;]+)m([^\x1b]+)\x1b\[0m", shown)}


def test_a_terminal_shows_the_whole_text_with_the_strongest_words_highlighted(
    completed_template: Project, sentiment: SentimentClassifier
) -> None:
    shown = on_terminal(completed_template, TEXT)
    [explanation] = sentiment.explain([TEXT])
    assert explanation is not None
    *lines, strongest = body(shown)
    assert " ".join(lines) == TEXT
    assert max(map(len, lines)) <= 60 - len("positive  0.000  ")
    order = sorted(explanation.words, key=lambda word: -abs(word.contribution))
    assert strongest.startswith(f"{order[0].contribution:+.2f} {order[0].text}")
    codes = styles(shown)
    for word in explanation.words:
        share = abs(word.contribution) / abs(order[0].contribution)
        expected = {"32"} if word.contribution > 0 else {"31", "4"}
        expected |= {"1"} if share >= 0.4 else set()
        expected |= {"7"} if share >= 0.7 else set()
        assert set(codes[word.text].split(";")) == expected if share >= 0.15 else word.text not in codes


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_without_color_the_same_is_shown_without_a_single_escape_code(
    completed_template: Project, env: dict[str, str]
) -> None:
    plain = on_terminal(completed_template, TEXT, **env)
    assert "\x1b" not in plain
    assert " ".join(body(plain)[:-1]) == TEXT
    assert re.match(r"[+-]\d\.\d\d \w+", body(plain)[-1])


def test_an_empty_no_color_keeps_the_colors(completed_template: Project) -> None:
    assert "\x1b[" in on_terminal(completed_template, TEXT, NO_COLOR="")


def test_text_in_a_pipe_has_no_escape_codes(completed_template: Project) -> None:
    out = completed_template.run(*EXPLAIN, "--format", "text", TEXT, "", TERM="xterm").stdout
    assert "\x1b" not in out
    assert out.splitlines()[-1].endswith("(no text)")
