"""The `sentiment` command itself: help, version, completion, unknown commands."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from sentiment.cli.app import COMMANDS
from tests.project import ROOT

MODULE = [sys.executable, "-m", "sentiment"]


def run(*command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_shows_two_examples(command: str) -> None:
    done = run(*MODULE, command, "--help")
    assert done.returncode == 0, done.stderr
    examples = [line for line in done.stdout.splitlines() if line.startswith(f"    sentiment {command}")]
    assert len(examples) >= 2, done.stdout


def test_the_help_lists_every_command() -> None:
    for arguments, status in ((["--help"], 0), ([], 2)):
        done = run(*MODULE, *arguments)
        assert done.returncode == status
        listed = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("    ")}
        assert set(COMMANDS) <= listed


def test_the_help_begins_with_what_the_command_does() -> None:
    assert run(*MODULE, "--help").stdout.startswith("Tell positive from negative product reviews")
    assert run(*MODULE, "report", "--help").stdout.startswith("Write report.html")


def test_a_package_that_is_not_installed_is_one_line_with_the_command_that_installs_it() -> None:
    program = "import sys; sys.modules['vl_convert'] = None; from sentiment.cli.app import main; main(['report'])"
    done = run(sys.executable, "-c", program)
    assert done.returncode == 1
    assert done.stderr == (
        "error: sentiment report: the package vl_convert is not installed; "
        "run pip install 'frozen-albert-sentiment[report]'\n"
    )


def test_the_version_is_that_of_the_package() -> None:
    assert run(*MODULE, "--version").stdout == f"sentiment {version('frozen-albert-sentiment')}\n"


def test_the_installed_command_is_the_module() -> None:
    command = Path(sys.executable).parent / "sentiment"
    assert run(str(command), "--version").stdout == run(*MODULE, "--version").stdout


def test_an_unknown_command_is_one_line_with_the_list() -> None:
    done = run(*MODULE, "predcit", "Soft")
    assert done.returncode == 1
    assert done.stderr.startswith("error: 'predcit' is not a command; expected predict, insights, ")
    assert done.stderr.count("\n") == 1
