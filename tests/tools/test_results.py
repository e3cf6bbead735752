"""`make results` writes the results tables: the same figures each time, and nothing typed by hand beside them."""

import hashlib
import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from transformers import AlbertConfig

from sentiment.common.command import run_main
from sentiment.common.errors import EncoderError
from sentiment.common.files import write_json
from tests.command_call import call_command
from tests.project import ROOT, SAMPLE, Project, copy_reviews
from tests.random_encoders import VOCAB_SIZE, random_model, save_encoder
from tools.results import __main__ as command
from tools.results.measure import METRICS, ResultsClone
from tools.results.tables import BEGIN, CARD, END, NOT_RUN, README, read_rows, render, split_page

RESULTS = "metrics/results.json"
N_REVIEWS = 500
COMMAND = ["python", "-m", "tools.results", "--reviews", "data/raw/sample.csv"]
INTERVAL = r"\d\.\d{3} \(\d\.\d{3}-\d\.\d{3}\)"
METRIC = rf"({INTERVAL}|\*\*\d\.\d{{3}}\*\* \(\d\.\d{{3}}-\d\.\d{{3}}\)|0\.500|1\.000)"
P_VALUE = r"(-|< 0\.001|[01]\.\d{3})(, better|, worse)?"
OF_VAL = r"[01]\.\d{3} \| [01]\.\d{3}"
LINE = rf"\| [^|]+ \| [^|]+ \| {METRIC} \| {METRIC} \| {OF_VAL} \| {P_VALUE} \| \d+ (s|min) \| `[^|]+` \|"


def table_of(page: Path) -> str:
    return split_page(page)[1].strip()


@pytest.mark.parametrize("page", [README, CARD])
def test_the_committed_table_is_what_the_tool_writes_from_the_committed_figures(page: Path) -> None:
    results = json.loads((ROOT / RESULTS).read_text(encoding="utf-8"))
    assert table_of(ROOT / page) == render(page, results)
    assert set(results) <= {row.name for row in read_rows()}
    n_repeated = sum("repeated" in results.get(row.name, {}) for row in read_rows() if str(page) in row.pages)
    assert (
        len(table_of(ROOT / page).splitlines())
        == 2 + sum(str(page) in row.pages for row in read_rows()) + 5 + n_repeated
    )


def test_a_row_that_is_repeated_has_mean_and_spread_below_the_table() -> None:
    results = json.loads((ROOT / RESULTS).read_text(encoding="utf-8"))
    results["tfidf"]["repeated"] = [{"accuracy": value, "roc_auc": 0.9} for value in (0.91, 0.92, 0.93)]
    assert "- TF-IDF of words and pairs of words, logistic regression: 0.920 ± 0.010, 3 splits" in render(
        README, results
    )


@pytest.mark.slow
def test_the_baselines_are_repeated_on_other_splits(project: Project) -> None:
    copy_reviews(project.root / SAMPLE, project.root / SAMPLE, N_REVIEWS)
    project.run("dvc", "repro")
    project.commit("Run the pipeline on the first reviews")
    clone = ResultsClone(project.root, project.root / SAMPLE, {}, project.root.parent / "repeated")
    clone.run(next(row for row in read_rows() if row.name == "default"))
    rows = [row for row in read_rows() if row.command == "sentiment baseline"]
    repeated = clone.repeat(rows, 2)
    assert set(repeated) == {"majority", "tfidf", "static"}
    for runs in repeated.values():
        assert len(runs) == 2
        assert len({one["accuracy"] for one in runs}) > 1, "else every split was the same"
    assert all(one["roc_auc"] == 0.5 for one in repeated["majority"])


def origin_of(project: Project) -> dict[str, str]:
    """Return what a row of this commit and of the sample says about itself."""
    sha256 = hashlib.sha256((project.root / SAMPLE).read_bytes()).hexdigest()
    return {"commit": project.run("git", "rev-parse", "HEAD").stdout.strip(), "reviews": sha256}


@pytest.mark.slow
def test_rows_have_the_figures_of_their_commands_and_a_folder_fills_the_row_that_needs_the_hub(
    project: Project, albert: Path
) -> None:
    """No test may ask the Hub; the rows after the one that needs it are run nevertheless."""
    copy_reviews(project.root / SAMPLE, project.root / SAMPLE, N_REVIEWS)
    project.run("dvc", "repro")
    project.commit("Run the pipeline on the first reviews")
    earlier = {**json.loads((ROOT / RESULTS).read_text(encoding="utf-8"))["finetuned"], **origin_of(project)}
    write_json(project.root / RESULTS, {"finetuned": earlier})
    names = ["finetuned-minilm", "albert-base-v1", "cls-128"]
    project.run(*COMMAND, "--encoder", f"albert-base-v1={albert}", "--runs", "1", "--rows", *names)
    results = json.loads((project.root / RESULTS).read_text(encoding="utf-8"))
    assert set(results) == {"default", "majority", "tfidf", "static", "finetuned", *names}
    assert results["finetuned"] == earlier
    assert results["finetuned-minilm"] == {NOT_RUN: "needs the Hugging Face Hub"}
    assert results["tfidf"]["p_value"] is None
    lines = table_of(project.root / README).splitlines()[2:]
    assert len([line for line in lines if re.fullmatch(LINE, line)]) == 6, lines
    assert re.fullmatch(LINE, next(line for line in lines if line.startswith("| albert-base-v1, linear head |")))
    not_run = "| 128 | not run: needs the Hugging Face Hub | - | - | - | - | - | `dvc exp run"
    assert any(not_run in line for line in lines)
    changed = project.run("git", "status", "--porcelain", "--untracked-files=all").stdout.split("\n")
    assert sorted(line[3:] for line in changed if line) == ["README.md", RESULTS, CARD.as_posix()]

    for name, options in (("default", []), ("cls-128", ["-S", "encode.pooling=cls", "-S", "train.words=false"])):
        if options:  # the row's command, by hand; the project has run with the defaults
            project.run("dvc", "exp", "run", *options)
        metrics = json.loads((project.root / "metrics/test.json").read_text(encoding="utf-8"))
        assert {key: metrics[key] for key in METRICS} == results[name]["metrics"]
        val = json.loads((project.root / "metrics/val.json").read_text(encoding="utf-8"))
        assert {key: val[key] for key in ("accuracy", "roc_auc")} == results[name]["val"]
    assert results["cls-128"]["metrics"] != results["default"]["metrics"]


@pytest.fixture
def run_results(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Callable[..., tuple[int, str]]:
    """Call the command in a project, on its sample; later arguments override earlier ones."""
    monkeypatch.chdir(project.root)
    return lambda *more: call_command(lambda: run_main(lambda: command.main([*COMMAND[3:], *more])), caplog)


@pytest.mark.parametrize("changed", ["reviews", "code"])
def test_rows_of_other_reviews_or_other_code_are_not_mixed_with_new_ones(
    project: Project, run_results: Callable[..., tuple[int, str]], changed: str
) -> None:
    source = project.root / SAMPLE
    write_json(
        project.root / RESULTS, {"finetuned": origin_of(project), "default": {}, "cls-128": {NOT_RUN: "not yet"}}
    )
    if changed == "reviews":
        source.write_text(source.read_text(encoding="utf-8").replace("soft", "warm"), encoding="utf-8")
    else:
        (project.root / "params.yaml").write_text("# more\n" + (project.root / "params.yaml").read_text())
        project.commit("Another commit")
    status, stderr = run_results("--rows", "tokens-20")
    assert status == 1
    assert stderr.splitlines()[-1].endswith(
        f"{RESULTS}: finetuned: of other reviews or of other code than the rows to run; run all rows, without --rows"
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


@pytest.fixture(scope="module")
def albert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny ALBERT of random weights."""
    config = AlbertConfig(
        vocab_size=VOCAB_SIZE, embedding_size=8, hidden_size=16, num_attention_heads=2, intermediate_size=32,
        num_hidden_layers=1, max_position_embeddings=128,
    )  # fmt: skip
    return save_encoder(random_model(config), tmp_path_factory.mktemp("albert"))


def test_an_encoder_from_a_folder_takes_the_stead_of_a_pointer_without_a_hash(
    project: Project, albert: Path, tmp_path: Path
) -> None:
    """The pointer to albert-base-v1 has none."""
    clone = ResultsClone(project.root, project.root / SAMPLE, {"albert-base-v1": str(albert)}, tmp_path / "clone")
    placed = {path.name for path in (clone.root / "models/encoders/albert-base-v1").iterdir()}
    assert "hub.json" not in placed
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= placed


@pytest.mark.slow
def test_an_encoder_from_a_folder_has_the_hash_that_the_pointer_names(
    project: Project, albert: Path, tmp_path: Path
) -> None:
    sha256 = hashlib.sha256((albert / "model.safetensors").read_bytes()).hexdigest()
    pointer = project.root / "models/encoders/all-MiniLM-L6-v2/hub.json"
    clone, encoders = tmp_path / "clone", {"all-MiniLM-L6-v2": str(albert)}
    with pytest.raises(EncoderError, match=f"model.safetensors has SHA-256 {sha256}, expected 53aa5117"):
        ResultsClone(project.root, project.root / SAMPLE, encoders, clone)
    pointer.write_text(json.dumps({**json.loads(pointer.read_text()), "sha256": sha256}))
    project.commit("The hash of the folder")
    ResultsClone(project.root, project.root / SAMPLE, encoders, tmp_path / "another")
    (tmp_path / "sharded").mkdir()
    for file in albert.iterdir():
        name = file.name.replace("model.safetensors", "model-00001-of-00002.safetensors")
        shutil.copyfile(file, tmp_path / "sharded" / name)
    encoders = {"all-MiniLM-L6-v2": str(tmp_path / "sharded")}
    with pytest.raises(EncoderError, match=r"no model.safetensors; remove sha256 from hub.json"):
        ResultsClone(project.root, project.root / SAMPLE, encoders, tmp_path / "refused")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "nothing"], "--rows nothing: no such row; expected majority, tfidf, static, model2vec, "),
        (["--reviews", "none.csv"], "none.csv: no such file; give the CSV of the reviews"),
    ],
)
def test_wrong_arguments_are_one_line(
    run_results: Callable[..., tuple[int, str]], arguments: list[str], message: str
) -> None:
    status, stderr = run_results(*arguments)
    assert status == 1
    assert message in stderr
    assert "\n" not in stderr


def test_a_page_without_markers_is_refused_before_anything_runs(
    project: Project, run_results: Callable[..., tuple[int, str]]
) -> None:
    page = project.root / README
    page.write_text(page.read_text().replace(BEGIN, "").replace(END, ""))
    status, stderr = run_results()
    assert status == 1
    assert "README.md: no place for the results; expected the lines" in stderr
    assert "\n" not in stderr
