"""What cannot be compared is refused with one line that names the reason."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sentiment.cli.compare import as_text
from sentiment.common.errors import InputError
from sentiment.experiments.comparison import compare, paired_labels, read_predictions
from sentiment.experiments.revisions import PREDICTIONS, Revision


def table(ids: Sequence[str], labels: Sequence[int]) -> pa.Table:
    return pa.table(
        {
            "id": ids,
            "label": pa.array(labels, pa.int8()),
            "probability": pa.array([0.5] * len(ids), pa.float32()),
            "predicted": pa.array([1] * len(ids), pa.int8()),
        }
    )


def test_different_reviews_are_counted() -> None:
    with pytest.raises(InputError, match="old and new have different val reviews") as refusal:
        paired_labels("old", table(["a", "b", "c"], [1, 0, 1]), "new", table(["b", "c"], [0, 1]), "val")
    assert "old has 3, 1 of them only there; new has 2, 0 only there" in str(refusal.value)


def test_shared_reviews_are_compared_where_reviews_were_added(tmp_path: Path) -> None:
    revisions = {}
    for name, one in {"old": table(["a", "b", "c"], [1, 0, 1]), "new": table(["c", "d", "a"], [1, 0, 1])}.items():
        file = tmp_path / name / PREDICTIONS["test"]
        file.parent.mkdir(parents=True)
        pq.write_table(one, file)
        revisions[name] = Revision("workspace", tmp_path / name)
    with pytest.raises(InputError, match="--shared"):
        compare(revisions["old"], revisions["new"], "test")
    assert compare(revisions["old"], revisions["new"], "test", shared=True).rows == 2
    pq.write_table(table(["x"], [1]), tmp_path / "new" / PREDICTIONS["test"])
    with pytest.raises(InputError, match="no test review in common"):
        compare(revisions["old"], revisions["new"], "test", shared=True)


def test_what_reviews_of_one_label_do_not_define_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / PREDICTIONS["val"]
    file.parent.mkdir(parents=True)
    pq.write_table(table(["a", "b"], [1, 1]), file)
    one = Revision("workspace", tmp_path)
    lines = as_text("A", "B", compare(one, one, "val"), "val").splitlines()
    assert lines[0] == "A = A, B = B: 2 val reviews"
    assert lines[3].startswith("accuracy ")
    assert lines[4] == ""


def test_different_labels_are_counted() -> None:
    with pytest.raises(InputError, match="1 of the 2 val reviews have another label in old than in new: section"):
        paired_labels("old", table(["a", "b"], [1, 0]), "new", table(["a", "b"], [1, 1]), "val")


def test_the_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    file = tmp_path / PREDICTIONS["val"]
    file.parent.mkdir(parents=True)
    pq.write_table(table(["b", "a"], [0, 1]), file)
    read = read_predictions(Revision("workspace", tmp_path), "val")
    assert read["id"].to_pylist() == ["a", "b"]
    assert paired_labels("A", read, "B", table(["a", "b"], [1, 0]), "val").tolist() == [1, 0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "val.parquet: not in the workspace; run `dvc repro`"),
        (b"no table", "val.parquet of workspace: not a Parquet file"),
        (pa.table({"id": ["a"], "label": [1]}), "column 'probability' is missing"),
    ],
)
def test_unreadable_predictions_are_named(tmp_path: Path, content: bytes | pa.Table | None, message: str) -> None:
    file = tmp_path / PREDICTIONS["val"]
    file.parent.mkdir(parents=True)
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        pq.write_table(content, file)
    workspace = Revision("workspace", tmp_path)
    with pytest.raises(InputError, match=message):
        compare(workspace, workspace, "val")
