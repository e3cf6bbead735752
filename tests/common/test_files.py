"""Files appear complete or not at all, also on a full disk."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sentiment.common.files import atomic, write_csv, write_json
from sentiment.common.tables import ROWS_PER_GROUP, batches, open_table, table_writer
from sentiment.encoder.features import feature_writer, read_features

SCHEMA = pa.schema([("number", pa.int64())])


def make_batch(start: int, count: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"number": range(start, start + count)}, SCHEMA)


def test_a_failed_write_keeps_the_old_file_and_leaves_no_partial(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    path.parent.mkdir()
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic(path) as partial:
        _ = partial.write_text("half") // 0
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_json_keeps_full_precision_and_refuses_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"third": 1 / 3})
    assert json.loads((tmp_path / "a.json").read_text()) == {"third": 1 / 3}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "b.json", {"x": float("nan")})
    assert not (tmp_path / "b.json").exists()


def test_a_table_has_row_groups_of_equal_size_whatever_the_batches(tmp_path: Path) -> None:
    with table_writer(tmp_path / "t.parquet", SCHEMA) as writer:
        for start in range(0, 40_000, 1000):
            writer.write(make_batch(start, 1000))
    metadata = open_table(tmp_path / "t.parquet").metadata
    sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    assert sizes == [ROWS_PER_GROUP, ROWS_PER_GROUP, 40_000 - 2 * ROWS_PER_GROUP]
    assert [value for batch in batches(tmp_path / "t.parquet") for value in batch["number"].to_pylist()] == list(
        range(40_000)
    )


def test_reading_a_13_mb_table_allocates_less_than_4_mb(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with table_writer(tmp_path / "t.parquet", SCHEMA) as writer:
        for _ in range(100):  # 13 MB that do not compress
            values = rng.integers(0, 2**62, ROWS_PER_GROUP)
            writer.write(pa.RecordBatch.from_pydict({"number": values}, SCHEMA))
    before = pa.total_allocated_bytes()
    peak = max(pa.total_allocated_bytes() - before for _ in batches(tmp_path / "t.parquet"))
    assert peak < 4_000_000


def test_features_are_read_as_they_were_written(tmp_path: Path) -> None:
    vectors = np.arange(12, dtype=np.float32).reshape(4, 3)
    with feature_writer(tmp_path / "f.npy", 4, 3) as writer:
        writer.write(vectors[:1])
        writer.write(vectors[1:])
    assert np.array_equal(read_features(tmp_path / "f.npy", 4), vectors)
    assert np.array_equal(np.load(tmp_path / "f.npy"), vectors)


def test_features_that_are_written_in_another_order_have_the_same_bytes(tmp_path: Path) -> None:
    vectors = np.arange(12, dtype=np.float32).reshape(4, 3)
    with feature_writer(tmp_path / "f.npy", 4, 3) as writer:
        writer.write(vectors)
    with feature_writer(tmp_path / "g.npy", 4, 3) as writer:
        writer.write(vectors[2:], row=2)
        writer.write(vectors[:1], row=0)
        writer.write(vectors[1:2])
    assert (tmp_path / "f.npy").read_bytes() == (tmp_path / "g.npy").read_bytes()
    with pytest.raises(ValueError, match=r"expected \(rows, 3\)"), feature_writer(tmp_path / "h.npy", 4, 3) as writer:
        writer.write(vectors[:, :2])
    assert not (tmp_path / "h.npy").exists()


# no bytecode is written there: it would be cut off, and break every later run
FULL_DISK = """
import resource, sys
from pathlib import Path
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))  # as a disk with 200 kB left
from sentiment.common.command import run_main
{imports}
run_main(lambda: {call})
"""


@pytest.mark.parametrize(
    ("imports", "call", "name"),
    [
        (
            "from stages.prepare import main; sys.argv[1:] = ['--output', 'out/r.parquet', '--metrics', 'out/m.json']",
            "main()",
            "out",
        ),
        (
            "from sentiment.encoder.features import feature_writer\nimport numpy as np\n"
            "def write():\n"
            "    with feature_writer(Path('out/f.npy'), 1000, 256) as writer:\n"
            "        writer.write(np.zeros((1000, 256), 'f4'))",
            "write()",
            "out",
        ),
    ],
)
def test_a_full_disk_gives_one_line_and_no_file(tmp_path: Path, imports: str, call: str, name: str) -> None:
    assert hasattr(resource, "RLIMIT_FSIZE")
    rows = "".join(
        f'"{number} {hash(number * 7919)} unlike the others {number**9}",{1 + number % 5}\n' for number in range(20_000)
    )
    (tmp_path / "r.csv").write_text("text,rating\n" + rows)
    (tmp_path / "params.yaml").write_text(
        "prepare: {source: r.csv, text_columns: [text], rating_column: rating, rating_min: 1, rating_max: 5, "
        "positive_above: 3, drop_ratings: [], slice_columns: []}"
    )
    (tmp_path / name).mkdir()
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK.format(imports=imports, call=call)],
        cwd=tmp_path, env={"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "too large" in done.stderr.lower()
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / name).iterdir())


def test_csv_fields_with_commas_and_quotes_are_quoted(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", [{"a": 'x,"y"', "b": 1.5}])
    assert (tmp_path / "a.csv").read_bytes() == b'a,b\n"x,""y""",1.5\n'
