"""What lies in the folders of a run: entries that cannot be read, outputs that cannot be written, ids that repeat."""

import gzip
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sentiment.batch.label import Labeler, Settings
from sentiment.batch.storage import MARKER, MAX_AGES, PARTIAL, LocalStorage
from sentiment.cli.app import main
from sentiment.common.errors import StorageError
from sentiment.head.classifier import Classifier
from tests.batch.conftest import Batch, outputs
from tests.command_call import call_command

CSV = "Title,Review Text\nLovely,Soft and warm\n"


def test_entries_that_cannot_be_read_are_named_and_the_others_are_labeled(batch_here: Batch, tmp_path: Path) -> None:
    inputs, folder = tmp_path / "in", tmp_path / "labels"
    (inputs / "more").mkdir(parents=True)
    (inputs / "good.csv").write_text(CSV)
    (inputs / "more" / "good.csv").write_text(CSV)
    Path(os.fsdecode(os.fsencode(inputs) + b"/caf\xe9.csv")).write_text(CSV)
    (inputs / "dangling.csv").symlink_to("nowhere.csv")
    (inputs / "loop.csv").symlink_to("loop.csv")
    os.mkfifo(inputs / "pipe.csv")
    outcome = batch_here(inputs, "--output", folder)
    assert outcome.status == 1
    assert "error: 4 units failed" in outcome.stderr
    assert sorted(outputs(folder)) == ["good.csv.00000.parquet", "more/good.csv.00000.parquet"]
    errors = {(error := json.loads(line))["input"]: error["reason"] for line in (folder / "_errors.jsonl").open()}
    for name, reason in {
        "caf\\xe9.csv": "its name is not UTF-8",
        "dangling.csv": "a link to a file that does not exist",
        "loop.csv": "too many levels of symbolic links",
        "pipe.csv": "is not a regular file",
    }.items():
        assert reason in errors.pop(name)
    assert errors == {}


@pytest.mark.parametrize("name", ["long.jsonl.gz", "long.csv.gz"])
def test_a_file_with_a_line_that_has_no_end_is_named_and_the_others_are_labeled(
    batch_here: Batch, tmp_path: Path, name: str
) -> None:
    """Such a line was cut into units of its pieces."""
    inputs, folder = tmp_path / "in", tmp_path / "labels"
    inputs.mkdir()
    (inputs / "good.csv").write_text(CSV)
    with gzip.open(inputs / name, "wb", compresslevel=1) as file:
        file.write(b"Title,Review Text\nx," if "csv" in name else b'{"Review Text": "')
        for _ in range(40):
            file.write(b"x" * 2**20)
    assert batch_here(inputs, "--output", folder, "--unit-rows", 1).status == 1
    assert sorted(outputs(folder)) == ["good.csv.00000.parquet"]
    [error] = [json.loads(line) for line in (folder / "_errors.jsonl").open()]
    assert error["input"] == name
    assert "a line has 16,777,216 characters or more" in error["reason"]


def test_an_input_whose_output_would_be_an_input_is_refused_alone(batch_here: Batch, tmp_path: Path) -> None:
    """The output of in/in/deep.csv would be in/deep.csv.00000.parquet, which the next run would read."""
    (tmp_path / "in" / "in").mkdir(parents=True)
    (tmp_path / "in" / "flat.csv").write_text(CSV)
    (tmp_path / "in" / "in" / "deep.csv").write_text(CSV)
    outcome = batch_here(tmp_path / "in", "--output", tmp_path)
    assert outcome.status == 1
    assert list(outputs(tmp_path)) == ["flat.csv.00000.parquet"]
    assert "in/deep.csv: its output would be below the inputs" in (tmp_path / "_errors.jsonl").read_text()


def test_ids_that_repeat_are_counted_in_one_warning(batch_here: Batch, tmp_path: Path) -> None:
    inputs = tmp_path / "in"
    inputs.mkdir()
    body = "id,Title,Review Text\n" + "".join(f"{row % 8},Lovely,Soft {row}\n" for row in range(10))
    (inputs / "a.csv").write_text(body)
    (inputs / "b.csv").write_text(body.replace("\n7,", "\nseven,").replace("\n6,", "\n,"))
    (inputs / "numbered.csv").write_text(CSV)
    outcome = batch_here(inputs, "--output", tmp_path / "labels", "--unit-rows", 4)
    assert outcome.status == 0, outcome.stderr
    [line] = [line for line in outcome.stderr.splitlines() if "has the id" in line or "have the id" in line]
    assert line.startswith("batch: 10 rows have the id of an earlier row")  # 2 in a.csv; 6 and 2 in b.csv


def test_an_output_that_cannot_be_written_is_refused_before_anything_is_computed(
    classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    computed: list[str] = []
    monkeypatch.setattr(Classifier, "predict_proba", lambda *arguments: computed.append("features"))
    (tmp_path / "in.csv").write_text(CSV)
    (tmp_path / "file").touch()
    output = tmp_path / "file" / "labels"
    command = ["batch", str(tmp_path / "in.csv"), "--output", str(output), "--classifier", str(classifier)]
    status, log = call_command(lambda: main(command), caplog, "sentiment")
    assert (status, computed) == (1, [])
    assert log == f"error: {output}: Not a directory; make it writable, or choose another --output"


def test_an_output_that_cannot_be_written_later_is_no_fault_of_its_input(batch_here: Batch, tmp_path: Path) -> None:
    inputs, folder = tmp_path / "in", tmp_path / "labels"
    for parent in (inputs / "sub", folder):
        parent.mkdir(parents=True)
    (inputs / "sub" / "a.csv").write_text(CSV)
    (folder / "sub").touch()
    outcome = batch_here(inputs, "--output", folder)
    assert outcome.status == 1
    assert f"error: {folder}/sub/a.csv.00000.parquet: File exists; make it writable" in outcome.stderr
    assert not (folder / "_errors.jsonl").exists()


def test_a_worker_that_does_not_see_the_driver_s_folder_says_so(classifier: Path, tmp_path: Path) -> None:
    settings = Settings("in", "/labels").of_classifier(classifier)
    with pytest.raises(StorageError, match="--output /labels: is another folder on a machine of the cluster"):
        Labeler(settings, str(tmp_path / "none.run"), classifier)


def test_a_run_whose_workers_do_not_see_its_folder_fails_and_writes_nothing(
    batch_here: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def on_another_machine(self: LocalStorage, folder: str) -> Iterator[str]:
        yield str(tmp_path / "none.run")

    monkeypatch.setattr(LocalStorage, "writable", on_another_machine)
    (tmp_path / "in.csv").write_text(CSV)
    outcome = batch_here(tmp_path / "in.csv", "--output", tmp_path / "labels")
    assert (outcome.status, "is another folder on a machine of the cluster" in outcome.stderr) == (1, True)
    assert not (tmp_path / "labels").exists()


def test_hidden_files_of_killed_runs_are_removed_later(tmp_path: Path) -> None:
    names = {age: [f".{age}{ending}" for ending in (MARKER, PARTIAL)] for age in ("old", "new")}
    (tmp_path / "sub").mkdir()
    for age, hidden in names.items():
        for name in hidden:
            path = tmp_path / "sub" / name
            path.touch()
            made = time.time() - (MAX_AGES[path.suffix] + 60 if age == "old" else 60)
            os.utime(path, (made, made))
    (tmp_path / ".mine").touch()
    os.utime(tmp_path / ".mine", (0, 0))
    with LocalStorage().writable(str(tmp_path)) as marker:
        assert Path(marker).exists()
    found = sorted(path.name for path in tmp_path.rglob(".*"))
    assert found == sorted([*names["new"], ".mine"])
