"""`sentiment init`: what it writes for files as people keep them, and what it says where it cannot decide."""

import io
import json
import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import time
from contextlib import chdir, redirect_stdout
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from sentiment.cli.app import dispatch
from sentiment.common.errors import InputError, PipelineError
from sentiment.data.profile import Column, Profile
from sentiment.data.proposal import Choices, polarities, propose
from sentiment.data.sniffing import guess_encoding
from tests.project import DEFAULTS, ROOT, Project

N_ROWS = 60
GOOD_TEXTS = [f"Works well and feels solid, number {number}." for number in range(N_ROWS)]
BAD_TEXTS = [f"It broke after a day, number {number}." for number in range(N_ROWS)]


def table(positive: str, negative: str) -> str:
    """Return CSV of texts and labels in turn."""
    rows = [
        f'"{text}",{label}'
        for pair in zip(GOOD_TEXTS, BAD_TEXTS, strict=True)
        for text, label in zip(pair, (positive, negative), strict=True)
    ]
    return "\n".join(["comment,verdict", *rows, ""])


def init(project: Project, *arguments: str, check: bool = True) -> str:
    """Run the command in this process; return standard output, or the error where it fails."""
    with chdir(project.root), redirect_stdout(io.StringIO()) as shown:
        try:
            dispatch(["init", *arguments])
        except (PipelineError, OSError) as error:
            if check:
                raise
            return f"error: {error}"
    assert check, shown.getvalue()
    return shown.getvalue()


def params_of(project: Project) -> dict[str, dict[str, object]]:
    params: dict[str, dict[str, object]] = yaml.safe_load((project.root / "params.yaml").read_text(encoding="utf-8"))
    return params


def test_it_writes_the_section_and_leaves_comments_and_other_sections(project: Project, tmp_path: Path) -> None:
    shutil.copy(ROOT / "params.yaml", project.root / "params.yaml")
    before = (project.root / "params.yaml").read_text(encoding="utf-8")
    source = tmp_path / "export.csv"
    source.write_text(table("keep", "return"), encoding="utf-8")
    shown = init(project, str(source), "--label", "verdict", "--positive", "keep", "--negative", "return")
    assert (project.root / "data/raw/export.csv").read_bytes() == source.read_bytes()
    after = (project.root / "params.yaml").read_text(encoding="utf-8")
    assert [line.split("#")[1] for line in after.splitlines() if "#" in line] == [
        line.split("#")[1] for line in before.splitlines() if "#" in line
    ]
    changed = params_of(project)
    expected = yaml.safe_load(before)
    expected["prepare"] |= {
        "source": "data/raw/export.csv", "text_columns": ["comment"], "rating_column": None, "label_column": "verdict",
        "positive": ["keep"], "negative": ["return"], "slice_columns": [],
    }  # fmt: skip
    expected["evaluate"]["slices"] = ["length"]
    expected["split"]["folds"] = 5  # of 120 reviews
    assert changed == expected
    assert "120 rows" in shown
    assert "'verdict' has labels: 'keep' positive and 'return' negative" in shown
    assert "language: en" in shown
    assert "dvc add data/raw/export.csv" in shown
    # again, where the copy is: the same params
    init(project, "data/raw/export.csv", "--label", "verdict", "--positive", "keep", "--negative", "return")
    assert (project.root / "params.yaml").read_text(encoding="utf-8") == after


@pytest.mark.parametrize(("n_sentences", "expected"), [(30, 256), (300, 512)])
def test_long_texts_raise_the_length_as_far_as_the_encoder_goes(
    project: Project, n_sentences: int, expected: int
) -> None:
    """A sentence has six tokens."""
    project.set_params(encode={"max_length": 128})
    long = ("It is soft and warm. " * n_sentences, "It is thin and torn. " * n_sentences)
    rows = [f"{text},{stars}" for number in range(20) for text, stars in zip(long, (5, 1), strict=True)]
    (project.root / "mine.csv").write_text("\n".join(["comment,stars", *rows]), encoding="utf-8")
    shown = init(project, "mine.csv")
    assert params_of(project)["encode"]["max_length"] == expected
    assert f"many texts are long: encode.max_length {expected}" in shown


def test_the_stages_split_by_the_column_that_it_wrote(project: Project) -> None:
    lines = table("5", "1").splitlines()
    rows = [f"{line},2024-{1 + number // 2 % 10:02}-15" for number, line in enumerate(lines[1:])]
    (project.root / "mine.csv").write_text("\n".join([f"{lines[0]},Date", *rows]), encoding="utf-8")
    init(project, "mine.csv", "--split-by", "Date")
    assert params_of(project)["split"]["time_column"] == "Date"
    project.run("dvc", "repro", "split")
    metrics = json.loads((project.root / "metrics/split.json").read_text())
    assert [metrics[name]["rows"] for name in ("train", "val", "test")] == [96, 12, 12]
    assert (metrics["split_by"], metrics["val_from"]) == ("time", "2024-09-15")


def test_the_sample_gets_the_committed_params(project: Project) -> None:
    init(project, "data/raw/sample.csv")
    prepare, default = params_of(project)["prepare"], yaml.safe_load((DEFAULTS / "params.yaml").read_text())["prepare"]
    assert {**prepare, "slice_columns": []} == {**default, "slice_columns": []}
    assert prepare["slice_columns"] == ["Division Name", "Department Name"]


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (table("a", "b"), [], "column 'verdict' has 'a' (60), 'b' (60): which is positive? say it with --positive"),
        (table("a", "b"), ["--label", "verdict", "--positive", "c"], "which is positive?"),
        ("comment,Schulnote\n" + "Very soft,1\nSoft and warm,2\nTorn soon,5\n" * 9, [],
         "column 'Schulnote' has '1' (9), '2' (9), '5' (9): which is positive?"),
        (table("5", "1"), ["--text", "words"], "column 'words' is missing; found 'comment', 'verdict'"),
        (table("fine", "ill"), ["--rating", "verdict"], "column 'verdict' has no numbers to rate by"),
        ("comment\n" + "\n".join(GOOD_TEXTS), [], "no column of labels or ratings found"),
        ("comment,food stars,shop stars\n" + "".join(f"Soft {n},{n % 5},{n % 4}\n" for n in range(20)), [],
         "columns 'food stars', 'shop stars' are equally likely to be the label; say it with --label"),
        (table("5", "4").replace("verdict", "stars"), [], "column 'stars' has '5' (60), '4' (60): which"),
        (table("5", "1"), ["--rating", "verdict", "--ignore", "meh"], "--ignore meh: expected a rating of 'verdict'"),
        ("pros,cons,stars\n" + "".join(f"Soft and {n},Thin and {n},{1 + n % 5}\n" for n in range(20)), [],
         "columns 'pros', 'cons' are equally likely to be the text; say it with --text COLUMN"),
        ("stars,price\n" + "5,10\n1,9\n4,8\n" * 20, [], "no column of texts found"),
        ("", [], "is empty, expected reviews"),
        ('comment,stars\n"Soft, warm",5\nTorn,1\n"Never closed,1\n' + "Thin,2\n" * 20, [], "row 3 has a quoted field"),
        ('{"reviews": [\n{"text": "Soft", "stars": 5}]}', [], "one JSON object; expected an object per line"),
        ('{"reviews": [{"text": "Soft", "stars": 5}]}', [],
         "an array of objects: jq '.[\"reviews\"]' FILE > reviews.json takes the array out of it"),
        ('{"text": ["Soft", "Torn"], "stars": [5, 1]}', [], "lines=True) makes lines of columns"),
        ('{"id": 1, "review": {"text": "Soft and warm", "stars": 5}}\n' * 20, [],
         "among 'id', 'review'; 'review' has objects: jq -c '. + .[\"review\"]' makes columns of their fields; or say"),
        ('{"stars": 5, "review": {"text": "Soft, warm"}}\n{"stars": 1, "review": {"text": "Torn, thin"}}\n' * 9, [],
         "no column of texts found among 'stars', 'review'; 'review' has objects: jq -c"),
        (table("5", "1"), ["--sheet", "Export"], "mine.csv: is no Excel file, and has no sheet 'Export'"),
    ],
)  # fmt: skip
def test_what_it_cannot_decide_is_one_line(project: Project, content: str, arguments: list[str], message: str) -> None:
    (project.root / "mine.csv").write_text(content, encoding="utf-8")
    before = (project.root / "params.yaml").read_bytes()
    assert message in init(project, "mine.csv", *arguments, check=False)
    assert (project.root / "params.yaml").read_bytes() == before


def log_in(terminal: int) -> None:
    """Make it the terminal of this process, which Ctrl-C interrupts also where a parent ignores it."""
    os.login_tty(terminal)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def on_terminal(project: Project, *arguments: str, typed: list[tuple[str, str]]) -> tuple[int, str]:
    """Run the command on a terminal, type each text where another is shown; return exit status and what is shown."""
    terminal, its_end = pty.openpty()
    process = subprocess.Popen(
        ["python", "-m", "sentiment", "init", *arguments],
        cwd=project.root, env=project.environment(TERM="dumb"), preexec_fn=partial(log_in, its_end),
    )  # fmt: skip
    os.close(its_end)
    shown, start, waiting, limit = "", 0, list(typed), time.monotonic() + 120
    try:
        while select.select([terminal], [], [], max(0.0, limit - time.monotonic()))[0]:
            try:
                shown += os.read(terminal, 4_096).decode()
            except OSError:  # Linux, when the last process has closed its end
                break
            if waiting and waiting[0][0] in shown[start:]:
                start = len(shown)
                os.write(terminal, waiting.pop(0)[1].encode())
        status = process.wait(timeout=60)
    finally:
        process.kill()
        os.close(terminal)
    assert not waiting, shown
    return status, shown.replace("\r\n", "\n")


def test_on_a_terminal_it_asks_what_it_cannot_decide_and_says_the_command_without_questions(project: Project) -> None:
    verdicts = ["keep", "back", "unsure"]
    rows = [f'"{text}",{verdicts[n % 3]},{verdicts[n % 3]}' for n, text in enumerate(GOOD_TEXTS)]
    (project.root / "my file.csv").write_text("\n".join(["comment,mine,yours", *rows]), encoding="utf-8")
    questions = [
        ("Which column is the label or rating? Number: ", "2 3\n"),
        ("expected a number from 1 to 3", "2\n"),
        ("Which is positive? Numbers: ", "1\n"),
        ("Which is negative? What is neither is left out Numbers: ", "1\n"),
    ]
    status, shown = on_terminal(project, "my file.csv", typed=questions)
    assert status == 0
    assert "no column of labels or ratings found among 'comment', 'mine', 'yours'; say it" in shown
    assert "   2  'back'  20 rows" in shown
    [command] = re.findall("- the same without questions: sentiment (init .*)", shown)
    assert command == "init 'my file.csv' --label=mine --positive=keep --negative=back --ignore=unsure"
    asked = params_of(project)
    assert asked["prepare"]["ignore"] == ["unsure"]
    init(project, *shlex.split(command)[1:])
    assert params_of(project) == asked


@pytest.mark.parametrize(
    ("typed", "status", "message"),
    [("\x03", 130, "stopped by Ctrl-C"), ("\x04", 1, "error: column 'verdict' has 'a' (60), 'b' (60): which is")],
)
def test_without_an_answer_it_ends_in_one_line(project: Project, typed: str, status: int, message: str) -> None:
    (project.root / "mine.csv").write_text(table("a", "b"), encoding="utf-8")
    before = (project.root / "params.yaml").read_bytes()
    ended, shown = on_terminal(project, "mine.csv", typed=[("Which is positive? Number: ", typed)])
    assert ended == status
    assert message in shown.splitlines()[-1]
    assert (project.root / "params.yaml").read_bytes() == before


def test_files_that_cannot_be_taken_are_one_line(project: Project, tmp_path: Path) -> None:
    assert "no such file" in init(project, "none.csv", check=False)
    other = tmp_path / "sample.csv"
    other.write_text(table("5", "1"), encoding="utf-8")
    assert "data/raw/sample.csv: is another file" in init(project, str(other), check=False)
    assert "rows" in init(project, str(other), "--dry-run")


def write_parts(folder: Path, *names: str) -> list[str]:
    """Write a table in several files with the same columns; return their paths."""
    header, *rows = table("5", "1").splitlines()
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        (folder / name).write_text("\n".join([header, *rows[number :: len(names)], ""]), encoding="utf-8")
    return [str(folder / name) for name in names]


@pytest.mark.slow
def test_several_files_become_a_folder(project: Project, tmp_path: Path) -> None:
    parts = write_parts(tmp_path / "exports", "day-3.csv", "day-10.csv", "day-2.csv")
    shown = init(project, *parts, "--dry-run")
    assert "3 files: the format of each file, 120 rows" in shown
    assert "- prepare.source: the folder data/raw/day, which has a copy of each file" in shown
    assert not (project.root / "data/raw/day").exists()
    for _ in range(2):  # again, where the copies are: the same folder
        init(project, *parts)
        assert params_of(project)["prepare"]["source"] == "data/raw/day"
    assert {path.name: path.read_bytes() for path in (project.root / "data/raw/day").iterdir()} == {
        Path(part).name: Path(part).read_bytes() for part in parts
    }
    project.run("dvc", "repro", "prepare")
    assert json.loads((project.root / "metrics/prepare.json").read_text())["kept"] == 120
    Path(parts[0]).write_text(table("4", "1"), encoding="utf-8")
    assert "data/raw/day: is another folder already" in init(project, *parts, check=False)
    # all files of a folder in the project are that folder
    own = write_parts(project.root / "data/raw/mine", "jan.csv", "feb.csv")
    assert "- prepare.source: the folder data/raw/mine, which has these files alone" in init(project, *own)
    assert params_of(project)["prepare"]["source"] == "data/raw/mine"
    init(project, *parts[1:], *own)
    assert params_of(project)["prepare"]["source"] == "data/raw/reviews"


def test_files_that_do_not_go_together_are_one_line(project: Project, tmp_path: Path) -> None:
    [one], [other] = (write_parts(tmp_path / folder, "day.csv") for folder in "ab")
    assert f"{one} and {other} have the same name; rename one" in init(project, one, other, check=False)
    [semicolons] = write_parts(tmp_path, "semicolons.csv")
    Path(semicolons).write_text(table("5", "1").replace('",', '";').replace("t,v", "t;v"), encoding="utf-8")
    assert "semicolons.csv: has no column of" in init(project, one, semicolons, check=False)
    Path(other).with_name("other.csv").write_text('comment,stars\n"Soft",5\n"Torn",1\n', encoding="utf-8")
    unlike = str(Path(other).with_name("other.csv"))
    assert "other.csv: column 'verdict' is missing" in init(project, one, unlike, "--label", "verdict", check=False)
    message = init(project, one, unlike, check=False)
    assert "no column of labels or ratings found among 'comment', 'file'" in message
    assert "not in every file: 'verdict', 'stars'" in message


def test_params_without_a_section_are_one_line(project: Project) -> None:
    (project.root / "params.yaml").write_text("prepare: {}\nsplit: {}\nfinetune:\n")
    assert "params.yaml: section 'finetune' is missing" in init(project, "data/raw/sample.csv", check=False)


def test_quotes_that_mean_themselves_and_backslashes_are_found(project: Project) -> None:
    lines = [f'{text}\t{label}' for pair in zip(GOOD_TEXTS, BAD_TEXTS, strict=True)
             for text, label in zip(pair, "10", strict=True)]  # fmt: skip
    lines[4] = f'"Great product" is what they said. {lines[4]}'
    (project.root / "a.tsv").write_text("\n".join(["Review\tLiked", *lines]), encoding="utf-8")
    init(project, "a.tsv")
    assert params_of(project)["prepare"]["quote"] is None
    escaped = [
        json.dumps(f'A "{number}" inch, {"good" if number % 2 else "bad"} one') + f",{number % 2}"
        for number in range(80)
    ]
    (project.root / "b.csv").write_text("\n".join(["text,label", *escaped]), encoding="utf-8")
    init(project, "b.csv")
    assert params_of(project)["prepare"]["escape"] == "\\"


def test_encodings_are_told_apart() -> None:
    german = "Größe stimmt, schöne Farbe, „sehr gut“, für 20 €".encode("windows-1252")
    assert guess_encoding(german)[0] == "windows-1252"
    russian = ("Очень хороший товар, рекомендую всем. Быстрая доставка, качество отличное. " * 20).encode(
        "windows-1251"
    )
    name, reason = guess_encoding(russian)
    assert name in {"cp1251", "windows-1251"}
    assert "(check the examples below)" in reason, "it is no proof"


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("is_negative", "negative"),
        ("Complaint", "negative"),
        ("not_recommended", "negative"),
        ("recommended", "positive"),
        ("positive_or_negative", "positive"),
        ("toxicity", "negative"),
    ],
)
@pytest.mark.parametrize(("yes", "no"), [("1", "0"), ("Yes", "No"), ("true", "false")])
def test_yes_is_negative_where_the_column_is_named_so(name: str, side: str, yes: str, no: str) -> None:
    other = {"positive": "negative", "negative": "positive"}[side]
    assert polarities(frozenset({yes, no}), name) == {yes: side, no: other}
    assert polarities(frozenset({"negative", "positive"}), name) == {"negative": "negative", "positive": "positive"}


def test_labels_of_which_one_has_no_side() -> None:
    assert polarities(frozenset({"Recommended", "Not Recommended"})) == {
        "Not Recommended": "negative", "Recommended": "positive",
    }  # fmt: skip
    assert polarities(frozenset({"Extremely Positive", "Negative", "Neutral", "brown"})) == {
        "Extremely Positive": "positive", "Negative": "negative", "Neutral": "neutral", "brown": None,
    }  # fmt: skip
    assert polarities(frozenset({"very good", "not bad", "bad"})) == {
        "very good": "positive", "not bad": None, "bad": "negative",
    }  # fmt: skip


def rated(*ratings: str) -> Profile:
    """Return the columns of a table with as many rows of each rating."""
    column, text = Column("stars"), Column("comment")
    column.add([*ratings] * 10)
    text.add([f"Soft and warm, number {number}" for number in range(column.n_rows)])
    return Profile({"comment": text, "stars": column}, column.n_rows)


@pytest.mark.parametrize(
    ("ratings", "choices", "params", "note"),
    [
        ("12345", Choices(), {"positive_above": 3, "drop_ratings": []},
         "5 ratings become two classes: 3 is negative (10 rows), --ignore 3 leaves it out"),
        ("12345", Choices(ignore=("3",)), {"positive_above": 3, "drop_ratings": [3]},
         "5 ratings become two classes: 3 is left out (10 rows)"),
        ("1245", Choices(), {"positive_above": 3, "drop_ratings": []}, "above 3 is positive"),
        ("123", Choices(), {"label_column": "stars", "positive": ["3"], "negative": ["1"], "ignore": ["2"]},
         "3 classes become two: '2' (10 rows) is left out"),
        ("45", Choices(rating="stars", positive=("5",)), {"positive": ["5"], "negative": ["4"]}, "'5' positive"),
    ],
)  # fmt: skip
def test_it_says_how_ratings_become_two_classes(
    ratings: str, choices: Choices, params: dict[str, object], note: str
) -> None:
    proposal = propose(rated(*ratings), choices)
    assert params.items() <= proposal.params.items()
    assert any(note in line for line in proposal.notes), proposal.notes


@pytest.mark.parametrize(("n_escaped", "is_decoded"), [(0, False), (1, False), (4, True)])
def test_html_is_decoded_where_it_is_usual(n_escaped: int, is_decoded: bool) -> None:
    texts = [text.replace(" ", "&nbsp;", 1) if number < n_escaped else text for number, text in enumerate(GOOD_TEXTS)]
    columns = {"comment": Column("comment"), "stars": Column("stars")}
    for _ in range(2):  # one text of 120 is not usual
        columns["comment"].add(texts)
        texts = BAD_TEXTS
        columns["stars"].add(["1", "3", "5"] * (N_ROWS // 3))
    proposal = propose(Profile(columns, 2 * N_ROWS), Choices())
    assert proposal.params["decode_html"] is is_decoded
    assert any("4 of 120 texts have HTML" in note for note in proposal.notes) is is_decoded


def test_ratings_of_two_scales_are_refused() -> None:
    with pytest.raises(InputError, match="column 'stars' has ratings of several scales: of 5 and of 10"):
        propose(rated("4/5", "5/5", "1/5", "8/10", "10/10"), Choices())


@pytest.mark.parametrize(
    ("odd", "notes"),
    [("99", "rests on 1 row: 99; without it, from 1 to 5"), ("0", "rests on 1 row: 0; without it, from 1 to 5")],
)
def test_a_rating_that_stretches_the_scale_is_named_and_can_be_ignored(odd: str, notes: str) -> None:
    found = rated(*"12345" * 30)
    found.columns["stars"].add([odd])
    found.columns["comment"].add(["Soft, and never rated"])
    stretched = propose(found, Choices())
    assert any(notes in note and f"--ignore {odd}" in note for note in stretched.notes), stretched.notes
    left = propose(found, Choices(ignore=(odd,)))
    expected = {"rating_min": 1, "rating_max": 5, "positive_above": 3, "drop_ratings": [int(odd)]}
    assert expected.items() <= left.params.items()
    assert not any("rests on" in note for note in left.notes)


def test_ratings_that_are_none_are_missing_ones(project: Project) -> None:
    rows = [
        f"{text},{rating}\n" for text, rating in zip(GOOD_TEXTS, [*"1245" * 14, "NULL", "nan", "N/A", "5"], strict=True)
    ]
    (project.root / "some.csv").write_text(
        "comment,stars\n" + "".join(row.replace(", number", " number") for row in rows)
    )
    shown = init(project, "some.csv")
    assert "3 of 60 rows have no label, and are left out" in shown
    prepare = ["-m", "stages.prepare", "--output", "p.parquet", "--metrics", "p.json"]
    project.run("python", *prepare, check=True)
    assert json.loads((project.root / "p.json").read_text())["no_label"] == 3


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", [{"content": {"body": text}, "stars": 5 - n % 5} for n, text in enumerate(GOOD_TEXTS)],
         "row 1 has 'content' that is not a string"),
        ("b.jsonl", [{"content": text if n != 9 else 7, "stars": 5 - n % 5} for n, text in enumerate(GOOD_TEXTS)],
         "row 10 has 'content' that is not a string"),
    ],
)  # fmt: skip
def test_texts_that_prepare_refuses_are_said_at_once(
    project: Project, name: str, content: list[object], message: str
) -> None:
    (project.root / name).write_text("".join(f"{json.dumps(one)}\n" for one in content))
    assert message in init(project, name, "--text", "content", check=False)


@pytest.mark.parametrize(
    "arguments",
    [["--delimiter", "\\t"], ["--delimiter", ";;"], ["--encoding", "nope"], ["--encoding", "base64"],
     ["--encoding", "utf-16"], ["--encoding", "idna"]],
)  # fmt: skip
def test_options_that_cannot_be_are_one_line(project: Project, arguments: list[str]) -> None:
    (project.root / "some.csv").write_text(table("5", "1"))
    error = init(project, "some.csv", *arguments, check=False)
    assert error.startswith("error: ")
    assert "\n" not in error
    assert arguments[0] in error or arguments[1] in error


def test_an_encoding_that_does_not_fit_stops_prepare_in_one_line(project: Project) -> None:
    for encoding in ("utf-16", "idna"):
        project.set_params(prepare={"encoding": encoding})
        done = project.run(
            "python", "-m", "stages.prepare", "--output", "p.parquet", "--metrics", "p.json", check=False
        )
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        assert encoding in done.stderr.lower()


def test_files_of_which_some_are_utf8_are_refused(project: Project) -> None:
    """Read by one encoding, the others would have two signs for each letter."""
    months = project.root / "months"
    months.mkdir()
    for number, encoding in enumerate(("utf-8", "windows-1252")):
        (months / f"{number}.csv").write_bytes(table("5", "1").replace("Works", "Très").encode(encoding))
    assert "months/1.csv is not UTF-8, as months/0.csv is" in init(project, "months", check=False)
    lines = table("5", "1").replace("Works", "Très").encode().split(b"\n")
    lines[7] = lines[7].replace("è".encode(), b"\xe8")
    (project.root / "one.csv").write_bytes(b"\n".join(lines))
    assert "one.csv: line 8 holds byte 0xe8, which is not UTF-8, as other lines are" in init(
        project, "one.csv", check=False
    )
    (project.root / "end.csv").write_bytes(b"\n".join(lines[:7]) + "\nTrès".encode()[:4])
    (project.root / "months/0.csv").write_bytes(lines[0] + b"\n" + lines[1].replace("Très".encode(), b"Works"))
    (project.root / "months/1.csv").write_bytes(b"\n".join(lines))
    assert "months/1.csv: line 8 holds byte 0xe8, which is not UTF-8" in init(project, "months", check=False)
    assert "end.csv: line 8 holds byte 0xc3, which is not UTF-8" in init(project, "end.csv", check=False)


@pytest.mark.parametrize(
    "header",
    [
        "comment,note,note,verdict",
        "Please tell us what you liked or disliked about it,a,b,How satisfied are you with it overall? (1-5)",
        "What could we do better next time you order something from our shop?,a,b,stars",
    ],
)
def test_a_header_with_long_or_repeated_names_is_one(project: Project, header: str) -> None:
    rows = [f"{text.replace(',', '')},{n},x{n % 3},{1 + n % 5}" for n, text in enumerate(GOOD_TEXTS)]
    (project.root / "survey.csv").write_text("\n".join([header, *rows, ""]))
    assert "no header" not in init(project, "survey.csv")
    assert params_of(project)["prepare"]["rating_column"] == header.split(",")[-1]


def test_records_of_several_lengths_are_no_traceback(project: Project) -> None:
    lines = table("5", "1").replace("verdict", "stars").split("\n")
    (project.root / "ragged.csv").write_text("\n".join([*lines[:5], "short", *lines[5:]]))
    assert "ragged.csv: row 5 has 1 field" in init(project, "ragged.csv", check=False)


@pytest.mark.parametrize(
    "above",
    [
        [["Customer feedback", "", ""], ["", "", ""]],
        [["Customer feedback", "May", ""]],
        [["", "Customer feedback", ""], ["", "of May", ""]],
        [],
    ],
)
@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_titles_above_a_table_are_skipped(project: Project, above: list[list[str]], kind: str) -> None:
    rows = [[text, str(1 + n % 5), f"shop {n % 3}"] for n, text in enumerate(GOOD_TEXTS)]
    table = pd.DataFrame([*above, ["Review", "Rating", "Shop"], *rows])
    name = f"titles.{kind}"
    if kind == "csv":
        table.to_csv(project.root / name, sep=";", index=False, header=False)
    else:
        table.to_excel(project.root / name, index=False, header=False)
    assert f"{name}: {kind}" in init(project, name)
    prepare = params_of(project)["prepare"]
    assert (prepare["skip"], prepare["text_columns"], prepare["rating_column"]) == (len(above), ["Review"], "Rating")


@pytest.mark.slow
def test_a_line_break_in_the_name_of_a_column(project: Project) -> None:
    rows = pd.read_csv(io.StringIO(table("5", "2"))).set_axis(["Review\nText", "Star\nrating"], axis=1)
    rows.to_excel(project.root / "breaks.xlsx", index=False)
    init(project, "breaks.xlsx")
    project.run("dvc", "repro", "encode")
    config = json.loads((project.root / "data/encode/config.json").read_text())
    assert config["text_columns"] == ["Review\nText"]


def test_rows_of_an_excel_sheet(project: Project) -> None:
    buffer = io.BytesIO()
    rows = pd.read_csv(io.StringIO(table("5", "2").replace("number 0.", "\n0")))
    with pd.ExcelWriter(buffer) as writer:
        pd.DataFrame({"About": ["These are reviews"]}).to_excel(writer, index=False, sheet_name="First")
        rows.to_excel(writer, index=False, sheet_name="Export", startrow=2)
        writer.sheets["Export"]["A1"] = "Export of today"
    (project.root / "export.xlsx").write_bytes(buffer.getvalue())
    for option in ("delimiter", "encoding"):
        refused = init(
            project, "export.xlsx", f"--{option}", {"delimiter": ";", "encoding": "utf-8"}[option], check=False
        )
        assert f"export.xlsx: is no text, and has no {option}" in refused
    shown = init(project, "export.xlsx", "--rating", "verdict", "--sheet", "Export")
    assert "export.xlsx: xlsx, 120 rows" in shown
    assert "- rows above the table that are skipped: 2 (prepare.skip)" in shown
    assert "Works well and feels solid, 0 · It broke" in shown  # on one line
    prepare = params_of(project)["prepare"]
    assert (prepare["rating_column"], prepare["sheet"], prepare["skip"]) == ("verdict", "Export", 2)


@pytest.mark.slow
def test_files_of_many_shapes_become_reviews_of_both_classes_and_one_of_them_a_classifier(
    project: Project, public_data: Path
) -> None:
    prepare = ["python", "-m", "stages.prepare", "--output", "prepared.parquet", "--metrics", "metrics/prepare.json"]
    for source in sorted((public_data / "files").iterdir()):
        init(project, str(source))
        project.run(*prepare)
        counts = json.loads((project.root / "metrics/prepare.json").read_text())
        assert counts["kept"] >= 500, source
        assert 0.4 < counts["positive_share"] < 0.6, source
        if source.name == "one_file_per_class":
            project.set_params(train={"solver": "lbfgs", "l2": "auto"})
            project.run("dvc", "exp", "run")
            assert json.loads((project.root / "metrics/val.json").read_text())["accuracy"] > 0.65


def test_options_that_name_nothing_are_refused(project: Project) -> None:
    (project.root / "one.csv").write_text(table("good", "bad"))
    assert "--text '': expected the name of a column" in init(project, "one.csv", "--text", "", check=False)
    refused = init(project, "one.csv", "--time-format", "%d.%m.%Y", check=False)
    assert "--time-format is of the dates of --split-by" in refused


def test_a_device_that_is_not_here_stops_nothing(project: Project) -> None:
    project.set_params(encode={"device": "cuda"})
    (project.root / "one.csv").write_text(table("good", "bad"))
    shown = init(project, "one.csv")
    if not torch.cuda.is_available():
        assert "dvc exp run will take" not in shown
    assert params_of(project)["prepare"]["label_column"] == "verdict"


def test_a_text_that_begins_with_a_bracket_is_no_json(project: Project) -> None:
    (project.root / "good.txt").write_text("[Verified purchase] I love it\n" + "\n".join(GOOD_TEXTS))
    (project.root / "bad.txt").write_text("[sic] I hate it\n" + "\n".join(BAD_TEXTS))
    shown = init(project, "good.txt", "bad.txt", "--label", "file", "--positive", "good", "--negative", "bad")
    assert ", 122 rows" in shown


def test_a_copy_that_is_cut_short_is_not_left(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "new.csv").write_text(table("good", "bad"))
    (tmp_path / "also.csv").write_text(table("good", "bad"))

    def cut(part: Path, copy: Path) -> None:
        copy.write_bytes(part.read_bytes()[:10])
        raise OSError("no space left")

    for names in (["new.csv"], ["new.csv", "also.csv"]):
        with monkeypatch.context() as patched:
            patched.setattr(shutil, "copyfile", cut)
            assert "no space left" in init(project, *(str(tmp_path / name) for name in names), check=False)
        init(project, *(str(tmp_path / name) for name in names))


def test_examples_have_no_control_characters(project: Project) -> None:
    (project.root / "one.csv").write_text(table("good\x1b[2J", "bad"))
    shown = init(project, "one.csv", "--label", "verdict", "--positive", "good\x1b[2J", "--negative", "bad")
    assert "\x1b" not in shown
