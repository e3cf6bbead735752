"""Raw columns in; id, text, label and rating out, and the schema of their table.

The checks are pandera's: https://pandera.readthedocs.io
"""

from collections.abc import Sequence

import pandas as pd
import pandera.pandas as pandera
import pyarrow
from pandera.errors import SchemaError

from sentiment.common.errors import InputError
from sentiment.data.text import hash64, join_text

ID, TEXT, LABEL, RATING = "id", "text", "label", "rating"
RESERVED_COLUMNS = (ID, TEXT, LABEL, RATING)


def table_schema(slice_columns: Sequence[str], text_columns: Sequence[str]) -> pyarrow.Schema:
    """Return the Arrow schema of a prepared table; its metadata names the text columns."""
    fields = [(ID, pyarrow.string()), (TEXT, pyarrow.string()), (LABEL, pyarrow.int8()), (RATING, pyarrow.int16())]
    fields += [(name, pyarrow.string()) for name in slice_columns]
    return pyarrow.schema(fields, metadata={"text_columns": "\n".join(text_columns)})


def parse_ratings(source: str, raw: pd.Series, lowest: int, highest: int) -> pd.Series:
    """Return the ratings as whole numbers.

    Args:
        source: the file's name, for the message.
        raw: ratings as written, indexed by row number.

    Raises:
        InputError: names the first row whose rating is not a whole number from `lowest` to `highest`.
    """
    numbers = pd.to_numeric(raw, errors="coerce")
    schema = pandera.SeriesSchema(
        float, pandera.Check(lambda rating: rating.between(lowest, highest) & (rating % 1 == 0))
    )
    try:
        return schema.validate(numbers.astype(float)).astype("int16")
    except SchemaError as error:
        row = error.failure_cases["index"].iloc[0]
        raise InputError(
            f"{source}: row {row}, column '{raw.name}': found {raw.loc[row]!r}, "
            f"expected a whole number from {lowest} to {highest}"
        ) from None


def build_reviews(raw: pd.DataFrame, ratings: pd.Series, text_columns: list[str], positive_above: int) -> pd.DataFrame:
    """Return id, text, label (1 is positive) and rating of every row, in order, texts possibly empty.

    The id is a hash of rating and text: it stays when rows are added, removed or sorted.
    """
    texts = [join_text(fields) for fields in raw[text_columns].itertuples(index=False, name=None)]
    ids = [f"{hash64(str(rating), text):016x}" for rating, text in zip(ratings, texts, strict=True)]
    label = (ratings > positive_above).astype("int8")
    return pd.DataFrame({ID: ids, TEXT: texts, LABEL: label, RATING: ratings}, index=raw.index)
