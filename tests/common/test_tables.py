"""Reading Parquet tables: what is missing is named."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sentiment.common.errors import InputError
from sentiment.common.tables import read_column


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a"], "review": ["Soft"]}), tmp_path / "a.parquet")
    assert read_column(tmp_path / "a.parquet", "review").to_pylist() == ["Soft"]
    with pytest.raises(InputError, match=r"a\.parquet: column 'text' is missing; found id, review"):
        read_column(tmp_path / "a.parquet", "text")
