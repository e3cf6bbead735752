"""`sentiment predict --explain` as a process: colors on a terminal, a JSON column elsewhere, memory that is bounded."""

import csv
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.peak_memory import peak_memory
from sentiment.data.text import join_text
from sentiment.inference.classifier import SentimentClassifier
from tests.conftest import SAMPLE, Project
from tests.inference.conftest import Predict
from tests.inference.test_explanation import with_head

COMMAND = (sys.executable, "-m", "sentiment", "predict", "--explain")
TEXT = "Lovely soft dress 👗, but the seams came loose and I returned it because it was itchy"
ESCAPE = re.compile(r"\x1b\[([0-9;]*)m")


def on_terminal(project: Project, *arguments: str, **env: str) -> str:
    """What the command shows on a terminal of 60 columns."""
    terminal, its_end = pty.openpty()
    environment = {key: value for key, value in project.environment().items() if key != "NO_COLOR"}
    environment |= {"TERM": "xterm-256color", "COLUMNS": "60"} | env
    with subprocess.Popen(
        [*COMMAND, *arguments], cwd=project.root, env=environment, stdout=its_end, stderr=subprocess.DEVNULL
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


def assert_adds_up(explanation: dict[str, Any], probability: float) -> None:
    words = explanation["words"]
    total = explanation["bias"] + explanation["special_tokens"] + sum(word["contribution"] for word in words)
    assert total == pytest.approx(explanation["logit"], abs=1e-6)
    assert 1 / (1 + np.exp(-explanation["logit"])) == pytest.approx(probability, abs=2e-6)
    assert [explanation["text"][word["start"] : word["end"]] for word in words] == [word["text"] for word in words]


def test_a_terminal_shows_the_whole_text_with_the_strongest_words_striking(
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


def test_an_empty_no_color_is_no_wish(completed_template: Project) -> None:
    assert "\x1b[" in on_terminal(completed_template, TEXT, NO_COLOR="")


def test_text_in_a_pipe_has_no_escape_codes(completed_template: Project) -> None:
    out = completed_template.run(*COMMAND, "--format", "text", TEXT, "", TERM="xterm").stdout
    assert "\x1b" not in out
    assert out.splitlines()[-1].endswith("(no text)")


@pytest.mark.parametrize("output", ["labels.csv", "labels.jsonl", "labels.parquet", "labels.csv.gz"])
def test_a_file_gets_a_json_column_and_else_what_it_gets_without(
    completed_template: Project, tmp_path: Path, output: str
) -> None:
    rows = (completed_template.root / SAMPLE).read_text().splitlines(keepends=True)[:201]
    (tmp_path / "reviews.csv").write_text("".join(rows))
    command = [str(tmp_path / "reviews.csv"), "--keep-columns", "--output"]
    completed_template.run(*COMMAND, *command, str(tmp_path / output))
    completed_template.run(*COMMAND[:-1], *command, str(tmp_path / f"plain-{output}"))
    explained, plain = read(tmp_path / output), read(tmp_path / f"plain-{output}")
    assert [{key: value for key, value in row.items() if key != "explanation"} for row in explained] == plain
    assert list(explained[0]) == [*plain[0], "explanation"]
    n_empty = 0
    for row in explained:
        explanation = row["explanation"]
        if not row["probability"]:
            assert not explanation
            n_empty += 1
            continue
        content = explanation if isinstance(explanation, dict) else json.loads(explanation)
        assert content["text"] == join_text([row["Title"], row["Review Text"]])
        assert content["method"] == "exact sum"
        assert_adds_up(content, float(row["probability"]))
    assert 0 < n_empty < len(explained)


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        rows = pq.read_table(path).to_pylist()
        return [row | {"probability": row["probability"]} for row in rows]
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    content = subprocess.run(["gzip", "-dcf", path], capture_output=True, check=True, text=True).stdout
    return list(csv.DictReader(content.splitlines(keepends=True)))


def test_rows_come_out_before_the_input_ends(completed_template: Project) -> None:
    command = [*COMMAND, "-", "--format", "jsonl"]
    streams: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(
        command, cwd=completed_template.root, env=completed_template.environment(), **streams
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(f"{TEXT}\n".encode() * 64)
            process.stdin.flush()
            rows = [json.loads(process.stdout.readline()) for _ in range(64)]
            process.stdin.close()
            assert process.wait(60) == 0
        finally:
            process.kill()
    assert rows[-1]["id"] == 64
    assert_adds_up(rows[-1]["explanation"], rows[-1]["probability"])


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(completed_template: Project, tmp_path: Path) -> None:
    peaks = []
    for rows in (500, 5_000):
        (tmp_path / "texts.txt").write_text(f"{TEXT}\n" * rows)
        command = [*COMMAND, str(tmp_path / "texts.txt"), "--output", str(tmp_path / "labels.jsonl")]
        peak = peak_memory(
            command,
            tmp_path / "peak",
            cwd=completed_template.root,
            env=completed_template.environment(),
            timeout=600,
            stderr=subprocess.DEVNULL,
        )
        assert len((tmp_path / "labels.jsonl").read_text().splitlines()) == rows
        peaks.append(peak)
    assert peaks[1] < peaks[0] * 1.15, f"{peaks} bytes"


def test_a_column_of_that_name_is_refused_only_where_it_would_be_written_twice(
    predict: Predict, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text("Title,Review Text,explanation\n,Soft and warm,mine\n")
    refused = predict(tmp_path / "in.csv", "--keep-columns", "--explain")
    assert refused.status == 1
    assert "has a column 'explanation' already" in refused.stderr
    kept = predict(tmp_path / "in.csv", "--keep-columns")
    assert next(csv.DictReader(kept.out.splitlines()))["explanation"] == "mine"
    assert predict(tmp_path / "in.csv", "--explain").status == 0


def test_a_head_of_several_layers_says_that_there_is_no_exact_sum(
    predict: Predict, sentiment: SentimentClassifier, classifier: Path, tmp_path: Path
) -> None:
    deep = with_head(sentiment, [(8, sentiment.encoder.dim), (1, 8)])
    deep.classifier.save(tmp_path / "deep")
    (tmp_path / "deep" / "encoder").symlink_to(classifier / "encoder")
    done = predict("--classifier", tmp_path / "deep", "--explain", "--format", "jsonl", TEXT)
    assert "gradient times input, not an exact sum" in done.stderr
    assert json.loads(done.out)["explanation"]["method"] == "gradient times input"


def test_broken_rows_keep_their_numbers_and_threshold_changes_the_label_alone(predict: Predict, tmp_path: Path) -> None:
    lines = ["Soft and warm", *["ok"] * 99, "bad \x00 byte", "fine"]
    (tmp_path / "in.txt").write_text("\n".join(lines) + "\n")
    done = predict(tmp_path / "in.txt", "--explain", "--format", "jsonl", "--threshold", "0.999")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row["id"] for row in rows] == list(range(1, 103))
    assert rows[100]["explanation"] is None
    assert "row 101" in done.stderr
    assert {row["sentiment"] for row in rows} == {"negative", None}
