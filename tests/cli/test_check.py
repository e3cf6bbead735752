"""`sentiment check`, and what the stage `check` writes."""

import json

from tests.project import Project


def test_the_stage_and_the_command_give_the_same_results_and_the_card_and_metrics_have_them(
    completed_template: Project,
) -> None:
    root = completed_template.root
    written = json.loads((root / "data/check/behavior.json").read_text())
    printed = completed_template.run("sentiment", "check", "--cases", "20", "--json", "-").stdout
    assert json.loads(printed) == written
    rates = json.loads((root / "metrics/check.json").read_text())["failure_rate"]
    for test in ("minimum functionality", "invariance", "direction"):
        failures = [one["failures"] for one in written.values() if one["test"] == test]
        assert rates.pop(test.replace(" ", "_")) == sum(failures) / (20 * len(failures))
    assert not rates
    card = (root / "models/README.md").read_text()
    for one in written.values():
        assert (
            f"| {one['failures']} of 20 | {one['failure_rate']:.1%} | {one['low']:.1%} to {one['high']:.1%} |" in card
        )
        failed = [example["text"] for example in one["examples"] if example["failed"]]
        assert all((f"`{text}`" in card) == (one["failure_rate"] > 0.1) for text in failed)


def test_the_table_has_every_kind_and_as_many_failures_as_asked_for(completed_template: Project) -> None:
    done = completed_template.run("sentiment", "check", "--cases", "20", "--examples", "1", "--fail-above", "0.01",
                                  "--rev", "HEAD", check=False)  # fmt: skip
    assert done.returncode == 1, done.stderr
    written = json.loads((completed_template.root / "data/check/behavior.json").read_text())
    for one in written.values():
        assert f"{one['failures']} of 20" in next(
            row for row in done.stdout.splitlines() if row.startswith(one["title"])
        )
    n_failing = sum(one["failures"] > 0 for one in written.values())
    assert done.stdout.count("  expected ") == n_failing > 0


def test_arguments_that_are_out_of_range_are_refused(completed_template: Project) -> None:
    for arguments in (("--cases", "301"), ("--fail-above", "2"), ("--examples", "0")):
        done = completed_template.run("sentiment", "check", *arguments, check=False)
        assert done.returncode == 2
        assert f"argument {arguments[0]}" in done.stderr
