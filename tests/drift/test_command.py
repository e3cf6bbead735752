"""`sentiment drift` in a project: table, JSON, exit status, and groups."""

import csv
import json
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from sentiment.cli.drift import as_text, group_rows
from sentiment.drift.shifts import Shift
from tests.browser import WIDTHS_AND_SCHEMES, assert_fits_and_is_accessible, open_url
from tests.project import SAMPLE, Project


def drift(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    return project.run("python", "-m", "sentiment", "drift", *arguments, check=False)


def write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.slow
def test_the_known_reviews_do_not_alarm_and_longer_ones_do(completed_project: Project, browser: Browser) -> None:
    project = completed_project
    with (project.root / SAMPLE).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    write(project.root / "new.csv", [{**row, "day": f"day {number % 3}"} for number, row in enumerate(rows)])
    same = drift(
        project, "new.csv", "--by", "day", "--by", "Division Name", "--by", "Class Name", "--json", "drift.json"
    )
    assert same.returncode == 0, same.stdout + same.stderr
    assert same.stdout.splitlines()[-1].endswith("new reviews: no alarms")
    written = json.loads((project.root / "drift.json").read_text())
    groups = {one["group"] for one in written["tests"]}
    assert groups >= {"", "day: day 0", "day: day 1", "day: day 2", "Division Name: General"}
    assert not any(group.startswith("Class Name") for group in groups), "val has fewer than 100 of each"
    assert {one["name"] for one in written["tests"]} == {
        "length (words)", "tokens per word", "probability of positive", "content",
    }  # fmt: skip

    twice = [{**row, "Review Text": f"{row['Review Text']} {row['Review Text']}"} for row in rows]
    write(project.root / "longer.csv", twice)
    longer = drift(project, "longer.csv", "--by", "Division Name", "--html", "drift.html")
    assert longer.returncode == 1
    line = next(line for line in longer.stdout.splitlines() if "length (words)" in line)
    assert line.endswith("ALARM")
    for width, scheme in WIDTHS_AND_SCHEMES:
        opened = open_url(browser, (project.root / "drift.html").as_uri(), width, scheme, offline=True)
        assert_fits_and_is_accessible(opened.page)
        assert opened.errors == []
    assert "All reviews: length (words) differs" in opened.page.locator("#verdict").inner_text()
    n_alarms = longer.stdout.count("ALARM")
    assert opened.page.get_by_text("▲ alarm").count() == n_alarms


def test_what_goes_wrong_is_one_line(completed_project: Project) -> None:
    missing = drift(completed_project, SAMPLE, "--by", "Color")
    assert missing.returncode == 1
    assert missing.stderr.splitlines()[-1].startswith(f"error: {SAMPLE}: no column 'Color'; found ")
    (completed_project.root / "empty.csv").write_text("Title,Review Text\n,\n")
    assert "error: empty.csv: no reviews" in drift(completed_project, "empty.csv").stderr
    (completed_project.root / "one.csv").write_text("Title,Review Text\nSoft,and warm\n")
    one = drift(completed_project, "one.csv")
    assert (one.returncode, one.stderr) == (0, "")
    assert "content" not in one.stdout, "one review has too little of it"
    (completed_project.root / "rows.csv").write_text("Title,Review Text\nSoft,and warm\n,\nA,B,C\nD,\n")
    assert drift(completed_project, "rows.csv").stderr == "drift: left out 1 broken rows, and 2 without text\n"


def test_damaged_val_reviews_are_named(completed_project: Project) -> None:
    path = completed_project.root / "data/split/val.parquet"
    path.unlink()  # a link into DVC's cache
    path.write_bytes(b"PAR1")
    damaged = drift(completed_project, SAMPLE)
    assert damaged.returncode == 1
    assert damaged.stderr.startswith("error: data/split/val.parquet of workspace: not a Parquet file (")
    assert damaged.stderr.count("\n") == 1


def test_a_value_of_the_known_reviews_is_compared_however_many_there_are() -> None:
    shops = {"shop": [f"s{number % 15}" for number in range(15 * 100)]}
    assert len(group_rows(1_500, shops)) == 1 + 12
    assert len(group_rows(1_500, shops, None)) == 1 + 15


def test_the_terminal_gets_no_control_characters() -> None:
    [_, line] = as_text([Shift("part: \x1b[2J", "content", None, None, 0.1, 0.5, False)]).splitlines()
    assert line.startswith("part:  [2J ")
