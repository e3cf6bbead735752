"""Read the labels of reviews as training reads them, by section `prepare` of params.yaml."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

from sentiment.common.params import read_yaml
from sentiment.data.labels import LABELS
from sentiment.data.ratings import label_key, read_rating
from sentiment.data.readers import as_string


@dataclass(frozen=True)
class LabelColumn:
    """A column of ratings or labels.

    Attributes:
        name: of the column.
        labels: "negative", "positive", or None for a label to ignore, by its `label_key`; empty for ratings.
        positive_above: a rating above it is positive.
        drop_ratings: ratings that are neither.
    """

    name: str
    labels: Mapping[str, str | None]
    positive_above: float = 3.0
    drop_ratings: tuple[float, ...] = ()

    def read(self, value: Any) -> str | None:
        """Return the label of a row; None where it has none.

        >>> LabelColumn("Rating", {}).read("2 stars"), LabelColumn("Rating", {}).read("")
        ('negative', None)
        """
        written = as_string(value)
        if self.labels:
            return self.labels.get(label_key(written))
        rating = read_rating(written)
        return None if isnan(rating) or rating in self.drop_ratings else LABELS[rating > self.positive_above]


def label_column(params: Path, columns: Collection[str]) -> LabelColumn | None:
    """Return the column that section `prepare` of params.yaml names; None where the file or this table lacks it.

    Raises:
        ParamsError: the file is not valid YAML.
    """
    section: dict[str, Any] = (
        (read_yaml(params.read_bytes(), str(params)) or {}).get("prepare", {}) if params.is_file() else {}
    )
    name = section.get("label_column") or section.get("rating_column")
    if not isinstance(name, str) or name not in columns:
        return None
    if not section.get("label_column"):
        return LabelColumn(name, {}, section.get("positive_above", 3.0), tuple(section.get("drop_ratings") or ()))
    named = {label_key(one): None for one in section.get("ignore") or ()}
    of_label = {label_key(one): label for label in LABELS for one in section.get(label) or ()}
    return LabelColumn(name, {**named, **of_label})
