"""`make results` writes the results tables: the same figures each time, and nothing typed by hand beside them."""

import hashlib
import json
import re
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from sentiment.common.errors import EncoderError
from tests.project import ROOT, SAMPLE, Project
from tools.results.measure import METRICS, ResultsClone
from tools.results.tables import BEGIN, CARD, END, NOT_RUN, README, ROWS, render, split_page

RESULTS = "metrics/results.json"
COMMAND = ["python", "-m", "tools.results", "--reviews", "data/raw/sample.csv"]
INTERVAL = r"\d\.\d{3} \(\d\.\d{3}-\d\.\d{3}\)"
METRIC = rf"({INTERVAL}|\*\*\d\.\d{{3}}\*\* \(\d\.\d{{3}}-\d\.\d{{3}}\)|0\.500|1\.000)"
P_VALUE = r"(-|< 0\.001|[01]\.\d{3})(, better|, worse)?"
LINE = rf"\| [^|]+ \| [^|]+ \| {METRIC} \| {METRIC} \| {P_VALUE} \| \d+ (s|min) \| `[^|]+` \|"


def table_of(page: Path) -> str:
    return split_page(page)[1].strip()


def without_times(table: str) -> str:
    rows = [re.sub(r"\| \d+ (s|min) \|", "| |", line) for line in table.splitlines()]
    return "\n".join(re.sub(r" Time: .*", "", line) for line in rows)


@pytest.mark.parametrize("page", [README, CARD])
def test_the_committed_table_is_what_the_tool_writes_from_the_committed_figures(page: Path) -> None:
    results = json.loads((ROOT / RESULTS).read_text(encoding="utf-8"))
    assert table_of(ROOT / page) == render(page, results)
    assert set(results) <= {row.name for row in ROWS}
    assert len(table_of(ROOT / page).splitlines()) == 2 + sum(page in row.pages for row in ROWS) + 2


@pytest.mark.slow
def test_two_runs_on_the_sample_write_the_same_tables_apart_from_the_times(project: Project) -> None:
    """One row needs the Hub, which no test may ask; the row after it runs nevertheless."""
    names = ["--rows", "albert-base-v1", "cls-20"]
    tables, figures = [], []
    for _ in range(2):
        done = project.run(*COMMAND, *names)
        tables.append({page: without_times(table_of(project.root / page)) for page in (README, CARD)})
        results = json.loads((project.root / RESULTS).read_text(encoding="utf-8"))
        figures.append({name: {**result, "seconds": 0} for name, result in results.items()})
    assert "min left" in done.stderr
    assert tables[0] == tables[1]
    assert figures[0] == figures[1]
    changed = project.run("git", "status", "--porcelain", "--untracked-files=all").stdout.split("\n")
    assert sorted(line[3:] for line in changed if line) == ["README.md", RESULTS, CARD.as_posix()]

    assert set(figures[0]) == {"default", "majority", "tfidf", "tfidf-features", "cls-20", "albert-base-v1"}
    assert figures[0]["albert-base-v1"] == {NOT_RUN: "needs the Hugging Face Hub", "seconds": 0}
    project.run(
        "dvc", "exp", "run", "-S", "encode.max_length=20", "-S", "encode.pooling=cls"
    )  # the row's command, by hand
    metrics = json.loads((project.root / "metrics/evaluate.json").read_text(encoding="utf-8"))
    assert {name: metrics[name] for name in METRICS} == figures[0]["cls-20"]["metrics"]
    assert metrics["roc_auc"] != figures[0]["default"]["metrics"]["roc_auc"]
    assert figures[0]["tfidf"]["p_value"] is None
    lines = table_of(project.root / README).splitlines()
    assert len([line for line in lines[2:] if re.fullmatch(LINE, line)]) == 4, lines
    assert (
        "| albert-base-v1, linear head | 128 | not run: needs the Hugging Face Hub | - | - | - | `dvc exp run"
        in lines[-3]
    )


@pytest.mark.slow
def test_a_signal_ends_the_running_stage_and_removes_the_clone(project: Project, tmp_path: Path) -> None:
    environment = project.environment(TMPDIR=str(tmp_path))
    process = subprocess.Popen(COMMAND, cwd=project.root, env=environment, stderr=subprocess.PIPE, text=True)
    stages = wait_for_stage(tmp_path)
    process.terminate()
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert stderr.splitlines()[-1] == "stopped by SIGTERM"
    _, alive = psutil.wait_procs(stages, timeout=30)
    assert alive == []
    assert list(tmp_path.glob("results-*")) == []


def wait_for_stage(folder: Path) -> list[psutil.Process]:
    """Return the processes of the first stage that runs below `folder`, at most a minute from now."""
    for _ in range(300):
        found = [
            one
            for one in psutil.process_iter(["cwd", "cmdline"])
            if str(one.info["cwd"] or "").startswith(str(folder)) and "stages." in " ".join(one.info["cmdline"] or [])
        ]
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError("no stage was started")


def test_an_encoder_from_a_folder_takes_the_stead_of_a_pointer_with_its_hash(project: Project, tmp_path: Path) -> None:
    bundled = project.root / "models/encoders/bundled"
    sha256 = hashlib.sha256((bundled / "model.safetensors").read_bytes()).hexdigest()
    for name, expected in (("same", sha256), ("other", "0" * 64)):
        folder = project.root / "models/encoders" / name
        folder.mkdir()
        pointer = {"id": f"owner/{name}", "commit": "0" * 40, "sha256": expected}
        (folder / "hub.json").write_text(json.dumps(pointer))
    project.commit("Pointers")
    clone = ResultsClone(project.root, project.root / SAMPLE, {"same": str(bundled)}, tmp_path / "clone")
    placed = {path.name for path in (clone.root / "models/encoders/same").iterdir()}
    assert "hub.json" not in placed
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= placed
    with pytest.raises(EncoderError, match=f"model.safetensors has SHA-256 {sha256}, expected 0000"):
        ResultsClone(project.root, project.root / SAMPLE, {"other": str(bundled)}, tmp_path / "refused")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "nothing"], "--rows nothing: no such row; expected majority, tfidf, tokens-20, default, "),
        (["--reviews", "none.csv"], "none.csv: no such file; give the CSV of the reviews"),
    ],
)
def test_wrong_arguments_are_one_line(project: Project, arguments: list[str], message: str) -> None:
    done = project.run(*COMMAND, *arguments, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


def test_a_page_without_markers_is_refused_before_anything_runs(project: Project) -> None:
    page = project.root / README
    page.write_text(page.read_text().replace(BEGIN, "").replace(END, ""))
    done = project.run(*COMMAND, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: README.md: no place for the results; expected the lines")
    assert done.stderr.count("\n") == 1
